"""Bytes of known files, changed in a few places: what hypothesis draws and shrinks."""

from collections.abc import Sequence
from pathlib import Path

from hypothesis import strategies as st

CORPUS = Path(__file__).resolve().parents[1] / "data" / "corpus"

CSV_PIECES = [
    b'"', b'""', b'"""', b",", b"\n", b"\r\n", b"\r", b'\n"', b'",', b',"', b"\0", b"\xef\xbb\xbf", b"\xff", b"\xc3", b"\xed\xa0\x80",
    b" ", b";", b"\t", b"1e", b"NaN", b"-", b"0.1", b"9" * 40, "é𝄞".encode(), b"\n\n", b"\xe2\x80\xa8",
]  # fmt: skip
JSON_PIECES = [
    b'"', b"\\", b"\\u", b"\\ud800", b"\\n", b"{", b"}", b"[", b"]", b":", b",", b"\n", b"\r\n", b"null", b"true", b"NaN", b"-Infinity",
    b"1e5", b"-0", b"0.10", b"01", b"9" * 40, b'"cost":', b'"a":1,"a":2', b"\xff", b"\xef\xbb\xbf", b"\0", b" ", b"[" * 101, b"/**/",
]  # fmt: skip
CONFIG_PIECES = [
    b":", b"- ", b"{", b"}", b"[", b"]", b'"', b"'", b"\n", b"\n  ", b"&a ", b"*a", b"!!python/none", b"!!int 'x'", b"<<: ", b"%", b"@",
    b"null", b"~", b"true", b".inf", b"1e999", b"0x10", b"2026-11-01", b"\t", b"\0", b"\xff", "é".encode(), b"---\n", b"..", b"/", b"0d", b"-1",
]  # fmt: skip


def corpus(*suffixes: str) -> list[bytes]:
    """Return the contents of the corpus' files with these endings."""
    paths = sorted(path for path in CORPUS.iterdir() if path.suffix in suffixes)
    return [path.read_bytes() for path in paths]


@st.composite
def mutated(draw: st.DrawFn, seeds: Sequence[bytes], pieces: Sequence[bytes]) -> bytes:
    """Return one of the seeds after up to six insertions, deletions, repetitions and overwrites."""
    data = bytearray(draw(st.sampled_from(list(seeds))))
    for _ in range(draw(st.integers(0, 6))):
        start = draw(st.integers(0, len(data)))
        end = min(len(data), start + draw(st.integers(0, 12)))
        piece = draw(st.sampled_from(list(pieces)) | st.binary(max_size=4))
        match draw(st.sampled_from("iowr")):
            case "i":
                data[start:start] = piece
            case "o":
                data[start:end] = piece
            case "w":
                del data[start:end]
            case _:
                data[end:end] = data[start:end] * draw(st.integers(1, 3))
    return bytes(data)
