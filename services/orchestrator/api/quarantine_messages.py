"""Quarantined rows as messages."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import cast

from convergence.orchestrator.v1 import run_pb2

TEXT: str = "__text"


def quarantined_message(row: Mapping[str, object]) -> run_pb2.QuarantinedRow:
    """Return a row of a quarantine table; money columns are those that stand twice."""
    columns = [name.removesuffix(TEXT) for name in row if name.endswith(TEXT)]
    return run_pb2.QuarantinedRow(
        source=str(row["_source"]),
        row_number=int(str(row["_row_number"])),
        reasons=cast(Sequence[str], row["reasons"] or []),
        raw_row=str(row["raw_row"] or ""),
        money=[
            run_pb2.QuarantinedMoney(
                column=column,
                text=str(row[column + TEXT]),
                amount=_amount(row[column]),
            )
            for column in columns
            if row[column + TEXT] is not None
        ],
    )


def _amount(value: object) -> str | None:
    return None if value is None else f"{Decimal(str(value)):f}"
