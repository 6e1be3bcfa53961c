"""Records of RFC 4180, found byte by byte: what finding them all at once is held against."""

import dataclasses


@dataclasses.dataclass(slots=True)
class Walk:
    """Records so far, as (start, text's end, cells, bad)."""

    records: list[tuple[int, int, int, bool]] = dataclasses.field(default_factory=list)
    start: int = 0
    cells: int = 1
    bad: bool = False

    def end(self, block: bytes, position: int) -> None:
        returned = position > self.start and block[position - 1 : position] == b"\r"
        self.records.append((self.start, position - returned, self.cells, self.bad))
        self.start, self.cells, self.bad = position + 1, 1, False


def walked(block: bytes, *, last: bool) -> Walk:
    """Read a block byte by byte, as RFC 4180 is written."""
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
            walk.bad = walk.bad or state == "closed" or byte in b'"\r'
            state = "plain"
    if last and walk.start < len(block):
        walk.bad = walk.bad or state == "quoted"
        walk.end(block, len(block))
    if state == "quoted" and last:
        start, _, cells, bad = walk.records.pop()
        walk.records.append((start, len(block) - block.endswith(b"\r"), cells, bad))
    return walk
