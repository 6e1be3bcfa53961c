"""An object as a stream of UTF-8: whole or refused, in blocks of bounded size."""

import gzip
import itertools
import tracemalloc
from collections.abc import Callable
from typing import Final

import pytest
from backports import zstd
from hypothesis import given, settings
from hypothesis import strategies as st

from services.ingest.failures import MemoryExceeded, SourceMalformed
from services.ingest.sources import streams
from services.ingest.sources.streams import Coding, Compression, Encoding, open_text
from tests.support.examples import examples
from tests.unit.ingest.memory_blob import MemoryBlob

PACK: Final[dict[Compression, Callable[[bytes], bytes]]] = {
    "none": bytes,
    "gzip": gzip.compress,
    "zstd": zstd.compress,
}
MARKS = {"utf-16": "\ufeff", "utf-8": "\ufeff", "latin-1": ""}
CODECS = {"utf-16": ["utf-16-le", "utf-16-be"], "utf-8": ["utf-8"], "latin-1": ["latin-1"]}
TEXTS = st.text(alphabet=st.sampled_from('a,"\n\r é\ufeff\u2028語😀'), max_size=30)


def read(data: bytes, coding: Coding, size: int = 1 << 20) -> bytes:
    with open_text(MemoryBlob(data), "f", coding) as text:
        return b"".join(iter(lambda: text.read(size), b""))


@st.composite
def encoded(draw: st.DrawFn) -> tuple[str, bytes, Encoding]:
    encoding: Encoding = draw(st.sampled_from(["utf-8", "utf-16", "latin-1"]))
    text = draw(TEXTS)
    if encoding == "latin-1":
        text = text.encode("latin-1", errors="ignore").decode("latin-1")
    codec = draw(st.sampled_from(CODECS[encoding]))
    marked = MARKS[encoding] if codec == "utf-16-be" or draw(st.booleans()) else ""
    text = text.lstrip("\ufeff")
    return text, (marked + text).encode(codec), encoding


@given(
    file=encoded(),
    compression=st.sampled_from(["none", "gzip", "zstd"]),
    cuts=st.lists(st.integers(0, 120), max_size=3),
    size=st.sampled_from([1, 2, 7, 1000]),
    taken=st.sampled_from([1, 3, 64]),
    unpacked=st.sampled_from([1, 5, 64]),
)
@settings(deadline=None, max_examples=examples(200))
def test_a_text_arrives_whole_however_it_is_packed_and_cut(
    file: tuple[str, bytes, Encoding],
    compression: Compression,
    cuts: list[int],
    size: int,
    taken: int,
    unpacked: int,
) -> None:
    text, data, encoding = file
    bounds = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    packed = b"".join(PACK[compression](data[a:b]) for a, b in itertools.pairwise(bounds))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(streams, "TAKEN", taken)
        patch.setattr(streams, "UNPACKED", unpacked)
        found = read(packed, Coding(compression=compression, encoding=encoding), size)
    assert found.decode() == text


@pytest.mark.parametrize("compression", ["gzip", "zstd"])
@pytest.mark.parametrize("taken", [1, 50, 1 << 20])
def test_a_packed_file_that_ends_anywhere_too_early_is_refused(
    compression: Compression, taken: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "TAKEN", taken)
    packed = PACK[compression](b"a,b\n1,2\n" * 9)
    whole = PACK[compression](b"x\n")
    for end in range(1, len(packed)):
        with pytest.raises(SourceMalformed, match=f"ends after byte {end}: what begins at byte 0 "):
            read(packed[:end], Coding(compression=compression))
        where = f"ends after byte {len(whole) + end}: what begins at byte {len(whole)} "
        with pytest.raises(SourceMalformed, match=where):
            read(whole + packed[:end], Coding(compression=compression))


@pytest.mark.parametrize("compression", ["gzip", "zstd"])
def test_a_changed_byte_is_never_read_as_another_text(compression: Compression) -> None:
    text = bytes(range(256)) * 3
    options: dict[int, int] = {zstd.CompressionParameter.checksum_flag: 1}
    packed = gzip.compress(text) if compression == "gzip" else zstd.compress(text, options=options)
    for i in range(len(packed)):
        broken = packed[:i] + bytes([packed[i] ^ 0x55]) + packed[i + 1 :]
        try:
            assert (
                read(broken, Coding(compression=compression, encoding="latin-1"))
                == text.decode("latin-1").encode()
            )
        except (SourceMalformed, MemoryExceeded):
            continue


@pytest.mark.parametrize("compression", ["gzip", "zstd"])
@pytest.mark.parametrize("garbage", [b"a,b\n1,2\n", b"\0" * 20, b"\x1f\x8b\xff\xff"])
def test_what_follows_and_is_no_member_is_refused_with_its_place(
    compression: Compression, garbage: bytes
) -> None:
    packed = PACK[compression](b"a,b\n")
    last = len(packed) + len(garbage)
    where = (
        f"bytes {len(packed)} to {last - 1}|after byte {last}: what begins at byte {len(packed)} "
    )
    with pytest.raises(SourceMalformed, match=where):
        read(packed + garbage, Coding(compression=compression))


@pytest.mark.parametrize("compression", ["gzip", "zstd"])
def test_a_bomb_costs_no_more_than_a_block_at_a_time(compression: Compression) -> None:
    packed = PACK[compression](bytes(200 << 20))
    with open_text(MemoryBlob(packed), "f", Coding(compression=compression)) as text:
        tracemalloc.start()
        try:
            blocks = iter(lambda: text.read(4 << 20), b"")
            assert sum(len(block) for block in blocks) == 200 << 20
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert peak < 20 << 20


def test_a_frame_that_refers_back_too_far_is_refused() -> None:
    options: dict[int, int] = {zstd.CompressionParameter.window_log: 27}
    stream = zstd.ZstdCompressor(options=options)
    packed = stream.compress(b"a\n" * 100) + stream.flush()
    with pytest.raises(MemoryExceeded, match="without --long") as refusal:
        read(packed, Coding(compression="zstd"))
    assert refusal.value.metadata["allowed"] == f"a window of {32 << 20} bytes"


def test_a_skippable_frame_has_no_text() -> None:
    skipped = b"\x50\x2a\x4d\x18\x03\0\0\0abc"
    assert read(skipped + zstd.compress(b"x") + skipped, Coding(compression="zstd")) == b"x"


def test_utf16_of_an_odd_number_of_bytes_is_refused() -> None:
    with pytest.raises(SourceMalformed, match="has 7 bytes of UTF-16"):
        read("a,b".encode("utf-16-le") + b"1", Coding(encoding="utf-16"))


def test_half_of_a_pair_is_no_utf8_and_spoils_nothing_around_it() -> None:
    data = b"a\0\n\0\x3d\xd8\n\0b\0\x3d\xd8"
    found = read(data, Coding(encoding="utf-16"))
    first, second, third = found.split(b"\n")
    assert first == b"a"
    for half in (second, third.removeprefix(b"b")):
        with pytest.raises(UnicodeDecodeError):
            half.decode()


@pytest.mark.parametrize(
    "coding", [Coding(), Coding(compression="gzip"), Coding(encoding="utf-16")]
)
def test_no_bytes_are_no_text(coding: Coding) -> None:
    assert read(b"", coding) == b""


def test_a_name_says_how_it_is_compressed_unless_the_source_does() -> None:
    assert Coding.of("a/b.csv.gz", None, "utf-8").compression == "gzip"
    assert Coding.of("a/b.CSV.ZST", None, "utf-8").compression == "zstd"
    assert Coding.of("a/b.gz/c.csv", None, "utf-8").plain
    assert Coding.of("a/b.csv.gz", "none", "utf-8").plain
    assert Coding.of("a/b.csv", "gzip", "utf-8").compression == "gzip"
    assert not Coding.of("a/b.csv", None, "latin-1").plain
