"""What is read is let go of before more is read: two batches never live at once."""

import dataclasses
import io
import threading
import tracemalloc
import weakref
from collections.abc import Iterator

from services.ingest.chunks import Chunk, Plan
from services.ingest.ingestion import Ingestion
from services.ingest.sink import MemorySink
from services.ingest.sources.csv_reader import CsvReader
from services.ingest.sources.records import Dialect
from services.ingest.sources.source import RawBatch, Reading, Splitting
from tests.unit.ingest.reading import columns, reading
from tests.unit.ingest.working import CHUNK, NOON, batch, task

COLUMNS = columns("a STRING")
BLOCK = 1024 * 1024


@dataclasses.dataclass(slots=True)
class Made:
    """A source that makes its batches when they are asked for; `left` are those alive by then."""

    left: list[int] = dataclasses.field(default_factory=list)

    def plan(self, splitting: Splitting) -> Plan:
        return Plan(chunks=(CHUNK,))

    def read(self, chunk: Chunk, reading: Reading) -> Iterator[RawBatch]:
        made: list[weakref.ref[object]] = []
        for number in range(3):
            self.left.append(sum(past() is not None for past in made))
            one = batch(COLUMNS, ("x",), first=number)
            made.append(weakref.ref(one.rows))
            yield one
            del one


@dataclasses.dataclass(slots=True)
class Watched:
    """A stream that notes how many bytes Python holds whenever it is read."""

    data: io.BytesIO
    held: list[int] = dataclasses.field(default_factory=list)

    def read(self, size: int, /) -> bytes:
        self.held.append(tracemalloc.get_traced_memory()[0])
        return self.data.read(size)


def test_a_batch_is_gone_when_the_next_is_made() -> None:
    source = Made()
    Ingestion(task(COLUMNS), MemorySink(), now=lambda: NOON).run(
        source, threading.Event(), lambda _: None
    )
    assert source.left == [0, 0, 0]


def test_a_block_of_csv_is_gone_when_the_next_is_read() -> None:
    read_through(Watched(io.BytesIO(b"x\n")))  # loads what is loaded when it is first needed
    stream = Watched(io.BytesIO((b"x" * 999 + b"\n") * 6000))
    tracemalloc.start()
    try:
        read_through(stream)
    finally:
        tracemalloc.stop()
    assert len(stream.held) > 5
    assert max(stream.held) < BLOCK // 2


def read_through(stream: Watched) -> None:
    reader = CsvReader(Dialect(), block_bytes=BLOCK)
    for found in reader.read(stream, ["a"], 0, "f", reading(COLUMNS)):
        del found
