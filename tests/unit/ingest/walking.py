"""Records of RFC 4180, found byte by byte: what finding them all at once is held against."""

import dataclasses
from typing import Final

NONE: Final = 1 << 62


@dataclasses.dataclass(slots=True)
class Walk:
    """Records so far, as (start, text's end, cells, bad)."""

    records: list[tuple[int, int, int, bool]] = dataclasses.field(default_factory=list)
    start: int = 0
    cells: int = 1
    odd: int = NONE
    odds: dict[int, int] = dataclasses.field(default_factory=dict)
    """By record: where the first byte is that breaks RFC 4180."""
    doubted: list[int] = dataclasses.field(default_factory=list)
    quoted: bool = False

    def end(self, block: bytes, position: int) -> None:
        returned = position > self.start and block[position - 1 : position] == b"\r"
        bad = self.odd < NONE
        if bad:
            self.odds[len(self.records)] = self.odd
        self.records.append((self.start, position - returned, self.cells, bad))
        self.start, self.cells, self.odd = position + 1, 1, NONE


def walked(block: bytes, *, last: bool) -> Walk:
    """Read a block byte by byte, as RFC 4180 is written; then doubt what a stray quote may close."""
    walk = _walked(block, last=last)
    for index, odd in walk.odds.items():
        start, end, _, _ = walk.records[index]
        ends = [q for q in range(odd, end) if block[q] == ord('"')]
        ends += [len(block)] if end + block.endswith(b"\r") >= len(block) else []
        opened = [p for p in range(start) if _may_open(block, p)]
        first = next((p for p in opened for q in ends if _closes(block, p, q)), None)
        if first is not None:
            walk.doubted += [i for i in range(index) if _next(block, walk, i) > first]
    for index in walk.doubted:
        start, end, cells, _ = walk.records[index]
        walk.records[index] = (start, end, cells, end > start)
    return walk


def _next(block: bytes, walk: Walk, index: int) -> int:
    return walk.records[index + 1][0] if index + 1 < len(walk.records) else len(block)


def _may_open(block: bytes, position: int) -> bool:
    return block[position] == ord('"') and (block[position - 1 : position] or b"\n") in (
        b",",
        b"\n",
    )


def _closes(block: bytes, opened: int, quote: int) -> bool:
    """Return whether from `opened` on, where a cell begins, RFC 4180 is kept until a quote closes one."""
    read = _walked(block[opened : quote + 1] + b"\n", last=True)
    before = _walked(block[opened:quote], last=False)
    if read.odds:
        return False
    if quote == len(block):
        return True
    after = block[quote + 1 : quote + 2]
    returned = after == b"\r" and block[quote + 2 : quote + 3] in (b"", b"\n")
    return before.quoted and (after in (b"", b",", b"\n", b'"') or returned)


def _walked(block: bytes, *, last: bool) -> Walk:
    walk, state = Walk(), "begin"
    for position, byte in enumerate(block):
        if state == "quoted":
            state = "closed" if byte == ord('"') else "quoted"
        elif byte == ord('"') and state in ("begin", "closed"):
            state = "quoted"
        elif byte == ord(","):
            walk.cells, state = walk.cells + 1, "begin"
        elif byte == ord("\n"):
            walk.end(block, position)
            state = "begin"
        elif byte == ord("\r") and block[position + 1 : position + 2] in (b"\n", b""):
            pass
        else:
            if state == "closed" or byte in b'"\r':
                walk.odd = min(walk.odd, position - (state == "closed"))
            state = "plain"
    if last and walk.start < len(block):
        walk.odd = min(walk.odd, len(block)) if state == "quoted" else walk.odd
        walk.end(block, len(block))
    walk.quoted = state == "quoted"
    return walk
