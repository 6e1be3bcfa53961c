"""Where single bytes of a block are, as bits: 64 positions are looked at at once.

RFC 4180 doubles a quote inside a quoted cell, so a byte is outside of quotes exactly when the number
of quotes before it is even. That number's parity, and what stands beside a quote, are a few
operations on words of 64 bits.
"""

from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

Words: TypeAlias = npt.NDArray[np.uint64]
"""Bits of a block: position p is bit p % 64 of word p // 64; those beyond the block are 0."""

Positions: TypeAlias = npt.NDArray[np.int64]
"""Positions in a block, ascending."""

_ONE: Final = np.uint64(1)
_TOP: Final = np.uint64(63)
_SHIFTS: Final = tuple(np.uint64(1 << power) for power in range(6))

_NTH: Final = np.array(
    [([i for i in range(8) if byte >> i & 1] + [0] * 8)[:8] for byte in range(256)], np.int64
)
"""The nth bit that is set in a byte."""


def bytes_of(block: bytes) -> npt.NDArray[np.uint8]:
    """Return a block as an array, without copying it."""
    return np.frombuffer(block, np.uint8)


def where(data: npt.NDArray[np.uint8], byte: int) -> Words:
    """Return where a byte is."""
    return _words(_numbers(data) == byte)


def below(data: npt.NDArray[np.uint8], byte: int) -> Words:
    """Return where bytes are that are less than one."""
    return _words(_numbers(data) < byte)


def _numbers(data: npt.NDArray[np.uint8]) -> pl.Series:
    """Return bytes for Polars, which compares them to bits at once, without copying them."""
    buffers = [None, pa.py_buffer(data)]
    numbers: pl.Series = pl.from_arrow(pa.Array.from_buffers(pa.uint8(), len(data), buffers))  # type: ignore[assignment]
    return numbers


def _words(found: pl.Series) -> Words:
    size = len(found)
    words = np.zeros(-(-size // 64), np.uint64)
    if size:
        bits = np.frombuffer(found.to_arrow().buffers()[1], np.uint8)
        words.view(np.uint8)[: -(-size // 8)] = bits[: -(-size // 8)]
    if size % 64:
        words[-1] &= np.uint64((1 << size % 64) - 1)
    return words


def positions(bits: Words) -> Positions:
    """Return the positions of the bits that are set."""
    parts = bits.view(np.uint8)
    at = np.flatnonzero(parts != 0)
    held = parts[at]
    counts = np.bitwise_count(held)
    rank: Positions | int = 0
    if len(at) and counts.max() > 1:
        ends = np.cumsum(counts, dtype=np.int64)
        rank = np.arange(ends[-1]) - np.repeat(ends - counts, counts)
        at, held = np.repeat(at, counts), np.repeat(held, counts)
    found: Positions = (at << 3) + _NTH[held, rank]
    return found


def odd_before(bits: Words) -> Words:
    """Return where the number of set bits up to and with a position is odd."""
    odd, moved = bits.copy(), np.empty_like(bits)
    for shift in _SHIFTS:
        odd ^= np.left_shift(odd, shift, out=moved)
    until = np.bitwise_xor.accumulate(np.right_shift(odd, _TOP, out=moved))
    odd[1:] ^= -until[:-1]
    return odd


def after(bits: Words) -> Words:
    """Return the positions after those that are set."""
    moved = bits << _ONE
    moved[1:] |= bits[:-1] >> _TOP
    return moved


def before(bits: Words) -> Words:
    """Return the positions before those that are set."""
    moved = bits >> _ONE
    moved[:-1] |= bits[1:] << _TOP
    return moved


def put(bits: Words, position: int) -> None:
    """Set a bit."""
    bits[position >> 6] |= np.uint64(1 << (position & 63))


def clear_from(bits: Words, position: int) -> None:
    """Clear the bits from a position on."""
    word = position >> 6
    bits[word] &= np.uint64((1 << (position & 63)) - 1)
    bits[word + 1 :] = 0


def holds(bits: Words, at: Positions) -> npt.NDArray[np.bool_]:
    """Return whether the bits at some positions are set."""
    shift = (at & 63).astype(np.uint64)
    held: npt.NDArray[np.bool_] = (bits[at >> 6] >> shift & _ONE) == _ONE
    return held


def first_from(bits: Words, position: int, nonzero: Positions) -> int | None:
    """Return the first set bit from a position on, if there is one.

    `nonzero` are the words that have any.
    """
    word = position >> 6
    at = int(np.searchsorted(nonzero, word))
    while at < len(nonzero):
        found = int(nonzero[at])
        left = int(bits[found])
        if found == word:
            left &= -1 << (position & 63)
        if left:
            return found * 64 + (left & -left).bit_length() - 1
        at += 1
    return None


def last_before(bits: Words, position: int, nonzero: Positions) -> int:
    """Return the last set bit before a position, -1 if none is; `nonzero` as in `first_from`."""
    word = position >> 6
    at = int(np.searchsorted(nonzero, word, side="right")) - 1
    while at >= 0:
        found = int(nonzero[at])
        left = int(bits[found])
        if found == word:
            left &= (1 << (position & 63)) - 1
        if left:
            return found * 64 + left.bit_length() - 1
        at -= 1
    return -1


def count(bits: Words) -> int:
    """Return how many bits are set."""
    return int(np.bitwise_count(bits).sum())


def last(bits: Words) -> int:
    """Return the last set bit, -1 if none is."""
    word = len(bits) - 1 - int(np.argmax(bits[::-1] != 0))
    found = int(bits[word])
    return word * 64 + found.bit_length() - 1 if found else -1


class Ranks:
    """How many set bits there are up to and with a position."""

    def __init__(self, bits: Words) -> None:
        self._bits = bits
        self._until = np.cumsum(np.bitwise_count(bits), dtype=np.int64)

    def at(self, positions: Positions) -> Positions:
        """Return the numbers of bits up to and with some positions."""
        words = positions >> 6
        shift = (positions & 63).astype(np.uint64)
        beyond = np.bitwise_count(self._bits[words] >> shift >> _ONE)
        ranks: Positions = self._until[words] - beyond
        return ranks
