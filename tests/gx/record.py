"""Asks Great Expectations every case, and writes down what it says.

Runs in an environment of its own: `.venvs/gx/bin/python -m tests.gx.record`. With `--check` it
writes nothing, and ends with 1 unless `recorded.json` holds what it would write.
"""

from __future__ import annotations

import argparse
import dataclasses
import datetime as dt
import json
import logging
import sys
import warnings
from decimal import Decimal
from importlib.metadata import version
from pathlib import Path
from typing import Any

import great_expectations as gx  # type: ignore[import-not-found]
import pandas as pd  # type: ignore[import-untyped]

from tests.gx.cases import cases, tables
from tests.gx.known import Case
from tests.gx.tables import Table

RECORDED = Path(__file__).with_name("recorded.json")
VERSION = "1.24.1"
COUNTS = ("element_count", "missing_count", "unexpected_count")


class Unforeseen(Exception):
    """Great Expectations did not do what a case says."""


def main() -> None:
    """Record, or check."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--check", action="store_true")
    check = arguments.parse_args().check
    text = recorded()
    if not check:
        RECORDED.write_text(text, encoding="utf-8")
    elif text != RECORDED.read_text(encoding="utf-8"):
        sys.exit(f"{RECORDED} is not what {Path(__file__).name} records: run it without --check")


def recorded() -> str:
    """Return the file's text: one line a table, one a case."""
    assert version("great_expectations") == VERSION
    warnings.simplefilter("ignore")
    logging.disable(logging.ERROR)
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = {"globally": False}
    asset = context.data_sources.add_pandas("pandas").add_dataframe_asset("table")
    whole = asset.add_batch_definition_whole_dataframe("whole")
    by_name = {table.name: table for table in tables()}
    answers, unforeseen = [], []
    for case in cases():
        try:
            answers.append(_ask(whole, by_name[case.table], case))
        except Unforeseen as error:
            unforeseen.append(str(error))
    if unforeseen:
        raise Unforeseen("\n".join(unforeseen))
    facts = {"great_expectations": VERSION, "tables": list(by_name.values()), "cases": answers}
    return _text(facts)


def _text(facts: dict[str, Any]) -> str:
    parts = []
    for key, value in facts.items():
        if isinstance(value, list):
            lines = ",\n".join(json.dumps(_plain(item), ensure_ascii=True) for item in value)
            parts.append(f'"{key}": [\n{lines}\n]')
        else:
            parts.append(f'"{key}": {json.dumps(value)}')
    return "{" + ",\n".join(parts) + "}\n"


def _plain(item: object) -> object:
    return dataclasses.asdict(item) if isinstance(item, Table) else item


def _ask(whole: Any, table: Table, case: Case) -> dict[str, Any]:
    asked = {key: value for key, value in dataclasses.asdict(case).items() if value is not None}
    raised, result = _validate(whole, table, case)
    if bool(raised) != (case.refused is not None):
        raise Unforeseen(f"{case}: {raised or result}")
    if result is None or raised:
        return asked
    if case.exact is not None and bool(result.success) is case.exact:
        raise Unforeseen(f"{case}: Great Expectations says the same")
    said: dict[str, Any] = {"success": bool(result.success)}
    for count in COUNTS:
        if count in result.result:
            said[count] = int(result.result[count])
    if "observed_value" in result.result:
        said["observed_value"] = _observed(result.result["observed_value"])
    return {**asked, "said": said}


def _validate(whole: Any, table: Table, case: Case) -> tuple[str, Any]:
    """Return what was raised, empty if nothing, and the result."""
    item = {"type": case.type, "kwargs": case.kwargs}
    try:
        suite = gx.ExpectationSuite(name="one", expectations=[item])
        batch = whole.get_batch({"dataframe": frame(table, absent=_absent(case))})
        result = batch.validate(suite).results[0]
    except Exception as error:  # noqa: BLE001 whatever it raises is a refusal
        return repr(error), None
    info = result.exception_info or {}
    nested = [part for part in info.values() if isinstance(part, dict)] or [info]
    raised = [part.get("exception_message") for part in nested if part.get("raised_exception")]
    return "; ".join(map(str, raised)), result


def _observed(value: Any) -> object:
    if isinstance(value, list):
        return value
    if value is None or pd.isna(value):
        return None
    if isinstance(value, dt.date | dt.datetime | Decimal):
        return str(value)
    plain = value.item() if hasattr(value, "item") else value
    return repr(plain) if isinstance(plain, float) else plain


def _absent(case: Case) -> float | None:
    """Return what stands for an absent decimal: aggregates fail over None, comparisons over NaN."""
    measures = ("sum", "mean", "min", "max")
    return (
        float("nan")
        if case.type.startswith(tuple(f"expect_column_{m}_" for m in measures))
        else None
    )


def frame(table: Table, *, absent: float | None) -> pd.DataFrame:
    """Return a table as pandas has it.

    Decimals and dates are Python's own, whole numbers floats where a null is among them, as pandas
    itself reads them.
    """
    columns = {
        name: _series(type_, table.column(name), absent) for name, type_ in table.columns.items()
    }
    return pd.DataFrame(columns)


def _series(type_: str, cells: list[str | None], absent: float | None) -> pd.Series:
    match type_:
        case "INT64" if None in cells and any(c and abs(int(c)) > 2**53 for c in cells):
            return pd.Series([None if c is None else int(c) for c in cells], dtype="object")
        case "INT64":
            dtype = "float64" if None in cells else "int64"
            return pd.Series([None if c is None else int(c) for c in cells], dtype=dtype)
        case "NUMERIC" | "BIGNUMERIC":
            numbers = [absent if c is None else Decimal(c) for c in cells]
            return pd.Series(numbers, dtype="object")
        case "FLOAT64":
            return pd.Series([None if c is None else float(c) for c in cells], dtype="float64")
        case "STRING":
            return pd.Series(cells, dtype="str")
        case "DATE":
            days = [None if c is None else dt.date.fromisoformat(c) for c in cells]
            return pd.Series(days, dtype="object")
        case "DATETIME":
            return pd.Series(pd.to_datetime(pd.Series(cells)), dtype="datetime64[ns]")
        case "TIMESTAMP":
            return pd.Series(
                pd.to_datetime(pd.Series(cells), utc=True), dtype="datetime64[ns, UTC]"
            )
        case _:
            flags = [None if c is None else c == "true" for c in cells]
            return pd.Series(flags, dtype="object" if None in cells else "bool")


if __name__ == "__main__":
    main()
