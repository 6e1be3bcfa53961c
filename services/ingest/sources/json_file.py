"""JSON files: arrays of objects, or pages that hold such arrays, read in flat memory."""

import dataclasses
import json
from collections.abc import Iterator, Mapping
from typing import Any, Final, NoReturn

import numpy as np
import polars as pl

from services.ingest import exact_json
from services.ingest.failures import Cancelled, SourceMalformed
from services.ingest.sources.around import Around
from services.ingest.sources.csv_reader import BLOCK, Stream
from services.ingest.sources.json_tokens import LONGEST, OPENING, Positions, Tokens
from services.ingest.sources.lines import Records
from services.ingest.sources.nested_values import FEWEST
from services.ingest.sources.object_reader import ObjectReader
from services.ingest.sources.source import RawBatch, Reading

_WINDOW: Final = 256
_SHORT: Final = 16
"""Bytes between commas that may be blanks alone; more of them are found when they are read."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Pages:
    """Where a file has its records.

    records: Names that lead from a page to the array of records; none if the page is the array.
    taken_over: Fields of the objects around a record that it takes over.
    """

    records: tuple[str, ...] = ()
    taken_over: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True, slots=True)
class _Run:
    """Records of one array in one block, which begins at byte `base` of the text."""

    block: bytes
    base: int
    starts: Positions
    ends: Positions
    around: Mapping[str, Any]


class JsonReader:
    """Reads pages of any stream of UTF-8; `block_bytes` is how much is read at once."""

    def __init__(self, pages: Pages, *, block_bytes: int = BLOCK, fewest: int = FEWEST) -> None:
        self._pages = pages
        self._block_bytes = block_bytes
        self._fewest = fewest

    def read_stream(self, stream: Stream, name: str, reading: Reading) -> Iterator[RawBatch]:
        """Yield the records of all pages, numbered from 0, as texts.

        Args:
            stream: UTF-8, without byte order mark.
            name: Of the file.
            reading: As what it is read.

        Raises:
            ServiceError: as the stream raises; SourceMalformed for what is no JSON or not of this
                structure, naming the byte, and for a record of more than 64 MiB.
            Cancelled: `reading.cancelled` was set.
        """
        taken_over = self._pages.taken_over
        objects = ObjectReader(reading.columns, taken_over, fewest=self._fewest)
        walk = _Walk(Tokens(stream, name, self._block_bytes), name, self._pages)
        first, position = 0, 0
        for runs in _by_block(walk.pages()):
            if reading.cancelled.is_set():
                raise Cancelled
            starts = np.concatenate([run.starts for run in runs])
            ends = np.concatenate([run.ends for run in runs])
            records = Records(runs[0].block, starts, ends)
            around = _around(runs) if taken_over else None

            def broken(
                index: int,
                error: json.JSONDecodeError,
                begin: int = runs[0].base,
                at: Positions = starts,
                block: bytes = runs[0].block,
                until: Positions = ends,
            ) -> None:
                record = block[at[index] : until[index]]
                blank = len(record) - len(record.lstrip())
                offset = blank + len(error.doc[: error.pos].encode())
                walk.fail(error.msg, begin + int(at[index]) + offset)

            size, position = walk.position - position, walk.position
            yield objects.batch(records, first, size, around=around, broken=broken)
            first += len(starts)


def _by_block(runs: Iterator[_Run]) -> Iterator[list[_Run]]:
    """Join runs of records that lie in the same block."""
    joined: list[_Run] = []
    for run in runs:
        if joined and joined[0].block is not run.block:
            yield joined
            joined = []
        joined.append(run)
    if joined:
        yield joined


def _around(runs: list[_Run]) -> Around:
    counts = [len(run.starts) for run in runs]
    of = np.repeat(np.arange(len(runs), dtype=np.uint32), counts)
    return Around(values=[run.around for run in runs], of=pl.Series(of))


class _Walk:
    """Goes through pages on the way to their records, which it does not look into."""

    def __init__(self, tokens: Tokens, name: str, pages: Pages) -> None:
        self._tokens = tokens
        self._name = name
        self._pages = pages

    @property
    def position(self) -> int:
        return self._tokens.position

    def fail(self, what: str, position: int | None = None) -> NoReturn:
        """Refuse the text at a byte, which is the one behind the last mark if none is said."""
        at = self._tokens.position if position is None else position
        text = f"{self._name}: {what} at byte {at}; correct the file or the source's records"
        raise SourceMalformed(text, source=self._name, file=self._name)

    def pages(self) -> Iterator[_Run]:
        """Yield the records of one page after another."""
        while (mark := self._tokens.peek()) is not None:
            around = dict.fromkeys(self._pages.taken_over)
            yield from self._enter(mark, self._pages.records, around, 0)
        if self._tokens.before().strip():
            self.fail("found no array or object")

    def _enter(
        self, mark: int, names: tuple[str, ...], around: Mapping[str, Any], depth: int
    ) -> Iterator[_Run]:
        """Go into a value on the way; `mark` is the one that comes next."""
        wanted = f"an object with {names[0]}" if names else "the array of records"
        if mark not in OPENING or self._tokens.before().strip():
            self.fail(f"found no value that is {wanted}")
        if depth > exact_json.MOST_DEPTH:
            self.fail("found more than 100 levels on the way to the records")
        if mark == ord("["):
            self._tokens.take()
            entered = self._array(names, around, depth + 1) if names else self._records(around)
            yield from entered
        elif names:
            self._tokens.take()
            yield from self._object(names, around, depth + 1)
        else:
            self.fail(
                "found an object where the array of records must be (set the source's records)"
            )

    def _array(
        self, names: tuple[str, ...], around: Mapping[str, Any], depth: int
    ) -> Iterator[_Run]:
        mark = self._next()
        if mark == ord("]") and not self._tokens.before().strip():
            self._tokens.take()
            return
        while True:
            yield from self._enter(self._next(), names, around, depth)
            if self._ends("]"):
                return

    def _object(
        self, names: tuple[str, ...], around: Mapping[str, Any], depth: int
    ) -> Iterator[_Run]:
        found = dict(around)
        seen: set[str] = set()
        mark = self._next()
        if mark == ord("}") and not self._tokens.before().strip():
            self.fail(f"found an object without {names[0]}")
        while True:
            name = self._name_of_field()
            if name in seen:
                self.fail(f"found the name {name[:80]!r} twice in an object")
            seen.add(name)
            late = names[0] in seen
            mark = self._next()
            if name == names[0] and mark in OPENING:
                yield from self._enter(mark, names[1:], found, depth)
            else:
                value = self._value()
                if name == names[0] and value is not None:
                    self.fail(f"found a {name} that is neither array nor object")
                if name in self._pages.taken_over:
                    if late:
                        self.fail(f"found {name}, which records take over, behind the records")
                    found[name] = value
            if self._ends("}"):
                break
        if names[0] not in seen:
            self.fail(f"found an object without {names[0]}")

    def _name_of_field(self) -> str:
        if self._next() != ord(":"):
            self.fail("found no name of a field")
        name = self._loaded(self._tokens.before())
        if not isinstance(name, str) or isinstance(name, exact_json.Number):
            self.fail("found no name of a field")
        self._tokens.take()
        return name

    def _value(self) -> Any:
        """Return a value beside the records, and go to the mark behind it."""
        if self._next() not in OPENING:
            return self._loaded(self._tokens.before())
        start = self._tokens.position
        depth = 0
        while True:
            mark = self._next()
            depth += (mark in b"[{") - (mark in b"]}")
            self._tokens.take()
            self._tokens.kept = start
            if depth == 0:
                break
        mine = slice(start - self._tokens.base, self._tokens.position - self._tokens.base)
        value = self._loaded(self._tokens.block[mine])
        self._tokens.kept = self._tokens.position
        return value

    def _loaded(self, text: bytes) -> Any:
        try:
            return exact_json.loads(text.decode())
        except ValueError as error:
            self.fail(f"found no JSON ({error})")

    def _ends(self, bracket: str) -> bool:
        """Take the comma or bracket behind a value; return whether it was the bracket."""
        mark = self._next()
        if self._tokens.last in b"]}" and self._tokens.before().strip():
            self.fail(f"found neither comma nor {bracket}")
        if mark not in (ord(","), ord(bracket)):
            self.fail(f"found neither comma nor {bracket}")
        self._tokens.take()
        return mark == ord(bracket)

    def _next(self) -> int:
        mark = self._tokens.peek()
        if mark is None:
            end = self._tokens.base + len(self._tokens.block)
            self.fail("the file ends in the middle of a page", end)
        return mark

    def _records(self, around: Mapping[str, Any]) -> Iterator[_Run]:
        """Yield the records of an array, whose bracket was taken, and go behind its end."""
        tokens = self._tokens
        empty = True
        while True:
            self._next()
            run, last = self._in_block(around)
            if len(run.starts) or last is not None:
                yield self._checked(run, empty=empty, ends=last is not None)
                empty = False
            if last is not None:
                if last != ord("]"):
                    self.fail("found neither comma nor ]", tokens.position - 1)
                return
            if not len(run.starts) and not tokens.more():
                end = tokens.base + len(tokens.block)
                self.fail("the file ends in the middle of a record", end)

    def _in_block(self, around: Mapping[str, Any]) -> tuple[_Run, int | None]:
        """Take the records that are whole in the block; also return what closes the array, if it does."""
        tokens = self._tokens
        ahead = tokens.ahead
        level = self._level(ahead.start)
        stop, last = ahead.start, None
        width = _WINDOW
        commas: list[Positions] = []
        while stop < ahead.stop and last is None:
            window = slice(stop, min(stop + width, ahead.stop))
            depths, marks = tokens.depths[window], tokens.bytes[window]
            closed = np.flatnonzero(depths < level)
            size = int(closed[0]) if len(closed) else len(depths)
            here = np.flatnonzero((marks[:size] == ord(",")) & (depths[:size] == level))
            commas.append(here + stop)
            if len(closed):
                last = int(marks[size])
                commas.append(np.array([stop + size]))
            stop, width = window.stop, width * 4
        found = np.concatenate(commas) if commas else np.zeros(0, dtype=np.int64)
        ends = tokens.marks[found]
        starts = np.empty_like(ends)
        if len(ends):
            starts[0], starts[1:] = tokens.position - tokens.base, ends[:-1] + 1
            run = _Run(tokens.block, tokens.base, starts, ends, around)
            tokens.go(int(found[-1]))
            return run, last
        return _Run(tokens.block, tokens.base, starts, ends, around), last

    def _level(self, index: int) -> int:
        """Return how deep the array is whose marks begin at an index, as `depths` count."""
        return int(self._tokens.depths[index - 1]) if index else 0

    def _checked(self, run: _Run, *, empty: bool, ends: bool) -> _Run:
        """Return a run without the nothing that stands in an empty array; refuse other nothings."""
        sizes = run.ends - run.starts
        if len(sizes) and sizes.max() > LONGEST:
            self.fail(
                "found a record of more than 64 MiB", run.base + int(run.starts[sizes.argmax()])
            )
        if empty and ends and len(sizes) == 1 and not _text(run, 0).strip():
            return dataclasses.replace(run, starts=run.starts[:0], ends=run.ends[:0])
        for i in np.flatnonzero(sizes < _SHORT).tolist():
            if not _text(run, i).strip():
                self.fail("found no record", run.base + int(run.ends[i]))
        return run


def _text(run: _Run, index: int) -> bytes:
    return run.block[run.starts[index] : run.ends[index]]
