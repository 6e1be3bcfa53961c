"""An object's text as a stream of UTF-8, however it is compressed and encoded."""

import codecs
import contextlib
import dataclasses
import sys
from collections.abc import Callable, Generator, Iterator
from typing import BinaryIO, Final, Literal, Protocol, Self, TypeAlias

from isal import igzip_lib

from services.ingest.failures import MemoryExceeded, SourceMalformed
from services.ingest.stores.store import Blob

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

Compression: TypeAlias = Literal["none", "gzip", "zstd"]
Encoding: TypeAlias = Literal["utf-8", "utf-16", "latin-1"]

TAKEN: Final = 128 * 1024
"""Bytes of the object that are unpacked at a time."""

UNPACKED: Final = 1024 * 1024
"""Most bytes that come out at a time, however well they were compressed."""

WINDOW_LOG: Final = 25
"""Of Zstandard: how far back a frame may refer, 32 MiB; what `zstd -1` to `-20` write."""

_GZIP_ERROR: Final[type[Exception]] = igzip_lib.IsalError  # type: ignore[assignment]
_ENDINGS: Final[dict[str, Compression]] = {".gz": "gzip", ".zst": "zstd"}


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Coding:
    """How the bytes of an object make a text."""

    compression: Compression = "none"
    encoding: Encoding = "utf-8"

    @classmethod
    def of(cls, name: str, compression: Compression | None, encoding: Encoding) -> Self:
        """Return an object's coding; no compression means what the name's ending says."""
        ending = next((e for e in _ENDINGS if name.lower().endswith(e)), "")
        return cls(compression=compression or _ENDINGS.get(ending, "none"), encoding=encoding)

    @property
    def plain(self) -> bool:
        """Whether the object's bytes are the text's, so that it can be read from any of them."""
        return self == Coding()


class Text(Protocol):
    """A text as UTF-8 bytes, read once and in order."""

    @property
    def taken_bytes(self) -> int:
        """Bytes of the object that were read so far, as they are stored."""
        ...

    def read(self, size: int, /) -> bytes:
        """Return the next `size` bytes; fewer only at the text's end.

        Characters may be cut in two. Half of a surrogate pair comes as bytes that are no UTF-8.

        Raises:
            SourceMalformed: the object is broken or ends too early; it names the object's byte.
            MemoryExceeded: unpacking takes more memory than is allowed.
            ServiceError: as the blob raises.
        """
        ...


@contextlib.contextmanager
def open_text(blob: Blob, name: str, coding: Coding) -> Generator[Text]:
    """Open an object as a text, from its beginning; memory does not grow with what it unpacks to."""
    with blob.stream(0, blob.size_bytes) as file:
        taken = _Taken(file, blob.size_bytes, name)
        yield _Blocks(taken, _without_mark(_utf8(taken, _unpacked(taken, coding), coding)))


@dataclasses.dataclass(slots=True)
class _Blocks:
    """Blocks as a stream: of the one at hand, `at` is where the next byte is."""

    taken: "_Taken"
    blocks: Iterator[bytes]
    block: bytes = b""
    at: int = 0

    @property
    def taken_bytes(self) -> int:
        return self.taken.position

    def read(self, size: int, /) -> bytes:
        parts, left = [], size
        while left > 0:
            if self.at == len(self.block):
                self.block, self.at = next(self.blocks, b""), 0
                if not self.block:
                    break
            parts.append(self.block[self.at : self.at + left])
            self.at += len(parts[-1])
            left -= len(parts[-1])
        return parts[0] if len(parts) == 1 else b"".join(parts)


@dataclasses.dataclass(slots=True)
class _Taken:
    """What was read of an object: `position` is where the next byte is."""

    file: BinaryIO
    size: int
    name: str
    position: int = 0

    def blocks(self) -> Iterator[bytes]:
        while self.position < self.size:
            block = self.file.read(min(TAKEN, self.size - self.position))
            if not block:
                break
            self.position += len(block)
            yield block

    def broken(self, what: str) -> SourceMalformed:
        return SourceMalformed(
            f"{self.name} {what}; deliver it anew", source=self.name, file=self.name
        )


class _Unpacker(Protocol):
    """Unpacks one gzip member or Zstandard frame."""

    @property
    def eof(self) -> bool: ...
    @property
    def needs_input(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, /, max_length: int) -> bytes: ...


def _gzip_member() -> _Unpacker:
    return igzip_lib.IgzipDecompressor(flag=igzip_lib.DECOMP_GZIP)


def _zstd_frame() -> _Unpacker:
    return zstd.ZstdDecompressor(options={zstd.DecompressionParameter.window_log_max: WINDOW_LOG})


_OPENERS: Final[dict[Compression, Callable[[], _Unpacker]]] = {
    "gzip": _gzip_member,
    "zstd": _zstd_frame,
}


def _unpacked(taken: _Taken, coding: Coding) -> Iterator[bytes]:
    opener = _OPENERS.get(coding.compression)
    if opener is None:
        yield from taken.blocks()
        return
    unpacker: _Unpacker | None = None
    begin = start = 0
    for block in taken.blocks():
        left = block
        while left or not (unpacker is None or unpacker.eof or unpacker.needs_input):
            if unpacker is None or unpacker.eof:
                unpacker, begin = opener(), taken.position - len(left)
            start = taken.position - len(left) if left else start
            text = _step(unpacker, left, start, taken, coding)
            left = unpacker.unused_data if unpacker.eof else b""
            if text:
                yield text
    if unpacker is not None and not unpacker.eof:
        raise taken.broken(
            f"ends after byte {taken.position}: what begins at byte {begin} is no whole {_what(coding)}"
        )


def _step(unpacker: _Unpacker, data: bytes, start: int, taken: _Taken, coding: Coding) -> bytes:
    try:
        return unpacker.decompress(data, max_length=UNPACKED)
    except _GZIP_ERROR as error:
        raise taken.broken(_broken_at(start, taken, coding)) from error
    except zstd.ZstdError as error:
        if "too much memory" in str(error):
            raise _too_wide(taken.name) from error
        raise taken.broken(_broken_at(start, taken, coding)) from error


def _broken_at(start: int, taken: _Taken, coding: Coding) -> str:
    last = taken.position - 1
    return f"holds what is no {_what(coding)}, in its bytes {start} to {last}"


def _what(coding: Coding) -> str:
    return {"gzip": "gzip member", "zstd": "Zstandard frame"}[coding.compression]


def _too_wide(name: str) -> MemoryExceeded:
    allowed = 1 << WINDOW_LOG
    return MemoryExceeded(
        f"{name}: a Zstandard frame refers back farther than {allowed} bytes; compress it "
        "without --long and --ultra",
        source=name,
        found=f"a window of more than {allowed} bytes",
        allowed=f"a window of {allowed} bytes",
    )


def _utf8(taken: _Taken, blocks: Iterator[bytes], coding: Coding) -> Iterator[bytes]:
    if coding.encoding == "utf-16":
        return filter(None, _from_utf16(taken, blocks))
    if coding.encoding == "latin-1":
        return (b if b.isascii() else b.decode("latin-1").encode() for b in blocks)
    return blocks


def _from_utf16(taken: _Taken, blocks: Iterator[bytes]) -> Iterator[bytes]:
    """Transcode UTF-16; half of a pair becomes bytes that are no UTF-8, as a reader rejects them."""
    head = b""
    for block in blocks:
        head += block
        if len(head) >= 2:
            break
    big = head.startswith(codecs.BOM_UTF16_BE)
    decoder = codecs.getincrementaldecoder("utf-16-be" if big else "utf-16-le")("surrogatepass")
    yield decoder.decode(head).encode(errors="surrogatepass")
    count = len(head)
    for block in blocks:
        count += len(block)
        yield decoder.decode(block).encode(errors="surrogatepass")
    if count % 2:
        raise taken.broken(f"has {count} bytes of UTF-16, where a character has two or four")
    yield decoder.decode(b"", final=True).encode(errors="surrogatepass")


def _without_mark(blocks: Iterator[bytes]) -> Iterator[bytes]:
    head = b""
    for block in blocks:
        head += block
        if len(head) >= len(codecs.BOM_UTF8):
            break
    if text := head.removeprefix(codecs.BOM_UTF8):
        yield text
    yield from blocks
