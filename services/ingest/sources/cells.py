"""The cells of one record that keeps RFC 4180, one by one."""

from services.ingest.sources.records import Dialect


def split(record: str, dialect: Dialect) -> list[str | None]:
    """Return the cells of a record; None where one is empty and unquoted.

    The record is one that `find_records` does not call bad.
    """
    cells: list[str | None] = []
    position = -1
    while position < len(record):
        position += 1
        if record.startswith(dialect.quote, position):
            cell, position = _quoted(record, position, dialect.quote)
            cells.append(cell)
            continue
        end = record.find(dialect.delimiter, position)
        end = len(record) if end < 0 else end
        cells.append(record[position:end] or None)
        position = end
    return cells


def _quoted(record: str, start: int, quote: str) -> tuple[str, int]:
    """Return the text between quotes, and the position after the closing one."""
    end = record.index(quote, start + 1)
    while record.startswith(quote, end + 1):
        end = record.index(quote, end + 2)
    return record[start + 1 : end].replace(quote * 2, quote), end + 1
