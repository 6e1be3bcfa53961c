"""The floor: Polars scan → cast → sink_parquet, streaming, nothing checked.

`python polars_sink.py SOURCE TARGET`; the format is the source's suffix.
"""

import json
import resource
import sys
import time
from pathlib import Path

import polars as pl

STRINGS = ("event_id", "project_id", "user_id", "api_key_id", "model", "region")
TIMES = ("started_at", "ended_at")
INTEGERS = ("input_tokens", "output_tokens", "cached_tokens", "request_count")
MONEY = ("cost", "unit_price")
NAMES = (*STRINGS, *TIMES, *INTEGERS, *MONEY, "note", "labels")


def main() -> None:
    source, target = Path(sys.argv[1]), sys.argv[2]
    began, cpu = time.perf_counter(), _cpu()
    scan(source).sink_parquet(target)
    print(json.dumps({"work_seconds": time.perf_counter() - began, "work_cpu": _cpu() - cpu}))


def scan(source: Path) -> pl.LazyFrame:
    if source.suffix == ".parquet":
        return pl.scan_parquet(source)
    if source.suffix == ".csv":
        types = {name: pl.Int64() if name in INTEGERS else pl.String() for name in NAMES}
        frame = pl.scan_csv(source, schema=types)
    else:
        nested = pl.Struct(
            {
                "team": pl.String(),
                "env": pl.String(),
                "tier": pl.Int64(),
                "ids": pl.List(pl.Int64()),
            }
        )
        types = {name: pl.Int64() if name in INTEGERS else pl.String() for name in NAMES}
        frame = pl.scan_ndjson(source, schema=types | {"labels": nested})
        frame = frame.with_columns(pl.col("labels").struct.json_encode())
    return frame.with_columns(
        pl.col(*TIMES).str.to_datetime("%Y-%m-%dT%H:%M:%S%.fZ", time_unit="us", time_zone="UTC"),
        pl.col(*MONEY).cast(pl.Decimal(38, 9)),
    )


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    main()
