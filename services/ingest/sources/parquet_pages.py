"""The pages of a Parquet column chunk, by their headers alone: what a reader must hold of each at once."""

import dataclasses
from collections.abc import Iterator
from typing import BinaryIO, Final

HEADER_BYTES: Final = 1024
"""What is read at first of a header; more only where its statistics are long."""

LONGEST_HEADER: Final = 1024 * 1024

_STOP: Final = 0
_TRUE, _FALSE, _BYTE, _DOUBLE, _BINARY, _STRUCT = 1, 2, 3, 7, 8, 12
_UNCOMPRESSED, _COMPRESSED, _DATA, _DICTIONARY, _DATA_V2 = 2, 3, 5, 7, 8
_COUNTED: Final = (_DATA, _DICTIONARY, _DATA_V2)
"""Fields of a header that are headers of kinds of page; the first field of each counts values."""


@dataclasses.dataclass(frozen=True, slots=True)
class Page:
    """Bytes before and after compression, and how many values."""

    size_bytes: int
    stored_bytes: int
    value_count: int


def pages(file: BinaryIO, start: int, end: int) -> Iterator[Page]:
    """Yield the pages in bytes [start, end) of a file. Raises ValueError where they are none."""
    while start < end:
        header, length = _header(file, start)
        page = Page(header[_UNCOMPRESSED], header[_COMPRESSED], header.get(0, 0))
        if page.size_bytes < 0 or page.stored_bytes < 0:
            raise ValueError(f"a page at byte {start} has a negative size")
        yield page
        start += length + page.stored_bytes


def _header(file: BinaryIO, start: int) -> tuple[dict[int, int], int]:
    size = HEADER_BYTES
    while size <= LONGEST_HEADER:
        file.seek(start)
        try:
            compact = _Compact(file.read(size))
            found = compact.page_header()
        except IndexError:
            size *= 16
            continue
        except RecursionError:
            break
        if _UNCOMPRESSED in found and _COMPRESSED in found:
            return found, compact.position
        break
    raise ValueError(f"no page begins at byte {start}")


class _Compact:
    """Thrift's compact protocol, as far as page headers need it. Raises IndexError past the end."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.position = 0

    def page_header(self) -> dict[int, int]:
        """Return the whole numbers of a header by field, and at 0 how many values the page has."""
        found: dict[int, int] = {}
        for field, type_ in self._fields():
            if type_ == _STRUCT and field in _COUNTED:
                found[0] = self._first_number()
            elif type_ in (4, 5, 6):
                found[field] = self._number()
            else:
                self._skip(type_)
        return found

    def _first_number(self) -> int:
        count = 0
        for field, type_ in self._fields():
            if field == 1 and type_ == 5:
                count = self._number()
            else:
                self._skip(type_)
        return count

    def _fields(self) -> Iterator[tuple[int, int]]:
        field = 0
        while (byte := self._byte()) != _STOP:
            field = field + (byte >> 4) if byte >> 4 else self._number()
            yield field, byte & 15

    def _skip(self, type_: int) -> None:
        if type_ in (_TRUE, _FALSE):
            return
        if type_ == _BYTE:
            self._byte()
        elif type_ in (4, 5, 6):
            self._varint()
        elif type_ == _DOUBLE:
            self._take(8)
        elif type_ == _BINARY:
            self._take(self._varint())
        elif type_ == _STRUCT:
            for _, inner in self._fields():
                self._skip(inner)
        else:
            raise ValueError(f"a field of type {type_} in a page header")

    def _byte(self) -> int:
        byte = self._data[self.position]
        self.position += 1
        return byte

    def _take(self, count: int) -> None:
        if self.position + count > len(self._data):
            raise IndexError
        self.position += count

    def _varint(self) -> int:
        value = shift = 0
        while True:
            byte = self._byte()
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    def _number(self) -> int:
        value = self._varint()
        return (value >> 1) ^ -(value & 1)
