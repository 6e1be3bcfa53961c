"""What becomes of data that differs from the schema; the modes are named as dlt names them."""

import dataclasses
from collections.abc import Collection, Iterator, Sequence
from typing import Literal, TypeAlias

import polars as pl

from libs.common.lineage import variant_column, variants
from services.ingest.casting.cast import Misfit
from services.ingest.columns import TargetColumn
from services.ingest.failures import ContractBroken
from services.ingest.sources.evolving import UNKNOWN, names_of
from services.ingest.sources.source import EXTRA, ColumnMode

TypeMode: TypeAlias = Literal["discard_row", "freeze", "evolve"]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Contract:
    """columns: of what the schema lacks. types: of cells that do not fit their column."""

    columns: ColumnMode = "discard_value"
    types: TypeMode = "discard_row"

    @property
    def looks_for_unknown(self) -> bool:
        """Whether a row's fate depends on what the schema lacks."""
        return self.columns in {"discard_row", "freeze"}

    def read_as(self, columns: Sequence[TargetColumn]) -> tuple[TargetColumn, ...]:
        """Return the columns that a source is read as."""
        return (*columns, UNKNOWN) if self.looks_for_unknown else tuple(columns)

    def unknown(self, rows: pl.DataFrame, source: str) -> tuple[pl.DataFrame, dict[int, list[str]]]:
        """Take what the schema lacks out of a batch.

        Returns:
            The schema's columns, and the names of unknown fields by index of the rows that have
            values in them.

        Raises:
            ContractBroken: the contract says `freeze`, and there is such a row.
        """
        if not self.looks_for_unknown:
            return rows, {}
        found = dict(_named(rows[EXTRA]))
        if found and self.columns == "freeze":
            names = list(dict.fromkeys(name for fields in found.values() for name in fields))
            raise columns_broken(source, names)
        return rows.drop(EXTRA), found

    def misfits(
        self, frame: pl.DataFrame, misfits: Sequence[Misfit], fixed: Collection[str], source: str
    ) -> tuple[pl.DataFrame, tuple[Misfit, ...]]:
        """Place cells that do not fit.

        Args:
            frame: (n, c) the batch in the schema's types.
            misfits: Its cells that do not fit.
            fixed: Columns of scope and keys, which do not evolve.
            source: Name of the input.

        Returns:
            The batch, with its variant columns where types evolve, and the misfits whose rows are lost.

        Raises:
            ContractBroken: the contract says `freeze`, and there is a misfit.
        """
        if self.types == "freeze" and misfits:
            raise _cell_broken(source, misfits[0])
        if self.types != "evolve":
            return frame, tuple(misfits)
        evolving = {
            column.name: pl.Series(column.name, [None] * frame.height, dtype=pl.String)
            for column in self.variants(tuple(m.column for m in misfits), fixed)
        }
        lost = []
        for misfit in misfits:
            name = variant_column(misfit.column.name)
            if name in evolving and misfit.text is not None:
                evolving[name] = evolving[name].scatter(misfit.row, misfit.text)
            else:
                lost.append(misfit)
        return frame.with_columns(evolving.values()), tuple(lost)

    def variants(
        self, columns: Sequence[TargetColumn], fixed: Collection[str]
    ) -> tuple[TargetColumn, ...]:
        """Return the columns that misfits of `columns` go to, none unless types evolve."""
        if self.types != "evolve":
            return ()
        found = variants([column.platform() for column in columns], fixed)
        return tuple(TargetColumn.parse(c.name, c.type, c.mode) for c in dict.fromkeys(found))


def _named(unknown: pl.Series) -> Iterator[tuple[int, list[str]]]:
    for index in unknown.is_not_null().arg_true().to_list():
        fields = names_of(unknown[index])
        if names := [name for name, there in fields.items() if there]:
            yield index, names


def columns_broken(source: str, names: Sequence[str]) -> ContractBroken:
    """Return the refusal of columns that the schema lacks."""
    shown = ", ".join(names[:10])
    return ContractBroken(
        f"{source} has {shown}, which the schema lacks, and contract.columns of the source is "
        "freeze; add them to the schema, or choose another mode",
        source=source,
        column=shown,
        found="a column that the schema lacks",
    )


def _cell_broken(source: str, misfit: Misfit) -> ContractBroken:
    return ContractBroken(
        f"{source}: {misfit.reason.removeprefix('CAST ')}, and contract.types of the source is "
        "freeze; correct the cell or the schema, or choose another mode",
        source=source,
        column=misfit.column.name,
        found="nothing" if misfit.text is None else misfit.text[:80],
    )
