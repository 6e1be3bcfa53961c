"""Charges with up to 18 digits after the point, and rows that cannot land: what money must survive."""

import decimal
import json
import random
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq

from bench.data import DATA, SEED, Format
from bench.runs import DIGITS, Expected

COLUMNS: Final = (
    ("charge_id", "STRING"),
    ("amount", "BIGNUMERIC"),
    ("fee", "NUMERIC"),
    ("quantity", "INT64"),
    ("note", "STRING"),
)
QUARANTINING: Final = "quantity"
"""Rows in which it is negative are quarantined by a rule."""

NEGATIVE_EVERY: Final = 50
LONG_EVERY: Final = 97
"""Texts with 19 digits after the point fit no column; Parquet, whose types hold 18, has none."""

ROW_GROUP: Final = 20_000
MOST_WHOLE: Final = 10**11
"""Beyond it a sum over a large file would not fit 38 digits with 18 after the point."""

Row = tuple[str, Decimal, Decimal, int, str]


def charges(rows: int, format_: Format) -> tuple[Path, Expected]:
    """Write that many charges; return the file and what its texts add up to, in Python's decimals."""
    path = DATA / f"money-{rows}.{format_}"
    path.parent.mkdir(parents=True, exist_ok=True)
    with decimal.localcontext(prec=DIGITS):
        made = list(_rows(rows, long=format_ != "parquet"))
        sums = {
            "amount": sum((row[1] for row in made), Decimal(0)),
            "fee": sum((row[2] for row in made), Decimal(0)),
        }
    {"csv": _csv, "ndjson": _ndjson, "parquet": _parquet}[format_](path, made)
    bad = sum(1 for row in made if row[3] < 0 or _places(row[1]) > 18)
    return path, Expected(rows=rows, sums=sums, quarantined=bad)


def _rows(rows: int, *, long: bool) -> Iterator[Row]:
    made = random.Random(SEED)
    for number in range(rows):
        places = 19 if long and number % LONG_EVERY == 7 else made.randrange(19)
        whole = made.randrange(MOST_WHOLE) if number % 3 else made.randrange(10)
        last = made.randrange(1, 10)
        units = whole * 10**places + (made.randrange(10**places) // 10 * 10 + last if places else 0)
        amount = Decimal(-units if number % 11 == 0 else units).scaleb(-places)
        fee = Decimal(made.randrange(-(10**6), 10**12)).scaleb(-9)
        quantity = -1 if number % NEGATIVE_EVERY == 3 else made.randrange(1_000)
        yield f"chg_{number}", amount, fee, quantity, "one\ntwo, three"


def _places(amount: Decimal) -> int:
    exponent = amount.as_tuple().exponent
    assert isinstance(exponent, int), "no amount is NaN"
    return -exponent


def _csv(path: Path, rows: list[Row]) -> None:
    with path.open("w", newline="") as file:
        file.write(",".join(name for name, _ in COLUMNS) + "\n")
        for name, amount, fee, quantity, note in rows:
            file.write(f'{name},{amount:f},{fee:f},{quantity},"{note}"\n')


def _ndjson(path: Path, rows: list[Row]) -> None:
    with path.open("w") as file:
        for name, amount, fee, quantity, note in rows:
            file.write(
                f'{{"charge_id":"{name}","amount":{amount:f},"fee":{fee:f},'
                f'"quantity":{quantity},"note":{json.dumps(note)}}}\n'
            )


def _parquet(path: Path, rows: list[Row]) -> None:
    types = (pa.string(), pa.decimal128(38, 18), pa.decimal128(38, 9), pa.int64(), pa.string())
    arrays = [
        pa.array(cells, type_) for cells, type_ in zip(zip(*rows, strict=True), types, strict=True)
    ]
    table = pa.table(arrays, names=[name for name, _ in COLUMNS])
    pq.write_table(table, path, row_group_size=ROW_GROUP, compression="snappy")
