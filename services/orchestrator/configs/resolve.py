"""Follows a pipeline's file to everything it refers to: a spec, or all that is wrong."""

import functools
from collections.abc import Callable
from typing import TypeVar

from libs.common.names import ID
from libs.focus import columns as focus
from services.orchestrator.configs import after_checks, checks, source_checks, transform_checks
from services.orchestrator.configs.documents import Document, Path, Unreadable, read_json, read_yaml
from services.orchestrator.configs.file_errors import FileError, listed, nearest
from services.orchestrator.configs.files import (
    SOURCE_FILES,
    FileSourceFile,
    PipelineFile,
    SourceFile,
    SourceKind,
    TargetPart,
    TransformPart,
)
from services.orchestrator.configs.folder import SUFFIXES, Folder
from services.orchestrator.configs.parsing import Wrong, described, parse
from services.orchestrator.configs.quantities import Misread
from services.orchestrator.configs.scope_values import scope_literal, split
from services.orchestrator.configs.table_schema import read_columns
from services.orchestrator.specs import (
    ColumnSpec,
    ContractSpec,
    FileOptions,
    LimitsSpec,
    OpenAiOptions,
    PipelineSpec,
    QualitySpec,
    ScheduleSpec,
    SourceSpec,
    TargetSpec,
    TextsSpec,
    TransformSpec,
    WindowSpec,
    WriteSpec,
)

T = TypeVar("T")


def resolve(folder: Folder, pipeline: str) -> tuple[PipelineSpec | None, tuple[FileError, ...]]:
    """Return the spec of a pipeline, or None and every error in the files it refers to.

    Pure: it reads `folder` and nothing else. The suite is carried as it is; that it compiles, that
    the secret exists and that the source has the schema's columns is checked elsewhere.
    """
    work = _Work(folder)
    spec = work.spec(pipeline)
    errors = tuple(dict.fromkeys(work.errors))
    return (None, errors) if errors else (spec, ())


class _Work:
    """One resolution: collects errors and goes on as long as anything can still be checked."""

    def __init__(self, folder: Folder) -> None:
        self.folder = folder
        self.errors: list[FileError] = []

    def spec(self, pipeline: str) -> PipelineSpec | None:
        document = self._tried(lambda: self._yaml("pipelines", pipeline))
        if document is None:
            return None
        file = self._tried(lambda: parse(document, PipelineFile))
        if file is None:
            self._references(document)
            return None
        source = self._source(document, file.source)
        columns = self._columns(document, ("schema",), file.table_schema)
        quality = self._quality(document, file)
        parts = [self._transform(document, index, file) for index in range(len(file.transforms))]
        transforms = tuple(part for part in parts if part is not None)
        if source is None or columns is None or quality is None:
            return None
        spec = PipelineSpec(
            tenant=self.folder.tenant,
            pipeline=pipeline,
            source=source,
            schema_id=file.table_schema,
            columns=columns,
            window=self._window(document, file),
            target=_target(file.target, TargetSpec(dataset="", table="")),
            write=_write(file, columns),
            quality=quality,
            transforms=transforms,
            schedule=_schedule(file),
            limits=_limits(file),
        )
        self.errors.extend(checks.check(spec, document))
        self.errors.extend(transform_checks.check_transforms(spec, document))
        self.errors.extend(after_checks.check_after(spec, document, self.folder))
        return self._judged(spec)

    def _window(self, document: Document, file: PipelineFile) -> WindowSpec | None:
        window = file.window
        if window is None:
            return None
        unit = {"day": "d", "month": "mo"}[window.grain]
        count, given = window.lookback or (1, unit)
        if given != unit:
            error = document.error(
                ("window", "lookback"), found=f"{count}{given} with grain {window.grain}",
                allowed=f"{window.grain}s with grain {window.grain}, as in 3{unit}",
                advice=f"write {count}{unit}, or change the grain",
            )  # fmt: skip
            self.errors.append(error)
        return WindowSpec(
            grain=window.grain,
            lookback_days=count if given == "d" else 1,
            lookback_months=count if given == "mo" else 1,
            lag_days=window.lag,
            timezone=window.timezone,
        )

    def _judged(self, spec: PipelineSpec) -> PipelineSpec:
        """Return the spec with the SQL that was judged in the place of what was written."""
        transforms = []
        for one in spec.transforms:
            guarded = self._tried(
                functools.partial(transform_checks.judge_sql, spec, one, self.folder)
            )
            if guarded is not None:
                reads = sorted({table.partition(".")[0] for table in guarded.tables})
                changes = {"sql": guarded.sql, "reads": tuple(reads)}
                transforms.append(one.model_copy(update=changes))
        return spec.model_copy(update={"transforms": tuple(transforms)})

    def _tried(self, step: Callable[[], T]) -> T | None:
        try:
            return step()
        except Unreadable as unreadable:
            self.errors.append(unreadable.error)
        except Wrong as wrong:
            self.errors.extend(wrong.errors)
        return None

    def _references(self, document: Document) -> None:
        """Check the files that a pipeline names although it is wrong itself."""
        named = document.value if isinstance(document.value, dict) else {}
        source, schema = named.get("source"), named.get("schema")
        if isinstance(source, str) and ID.fullmatch(source):
            self._source(document, source)
        if isinstance(schema, str) and ID.fullmatch(schema):
            self._columns(document, ("schema",), schema)

    def _path(self, kind: str, id_: str, named_by: Document | None, field: Path) -> str:
        """Return the one path of `id_`; raise Wrong naming the field that refers to it."""
        paths = self.folder.paths(kind, id_)
        if len(paths) == 1:
            return paths[0]
        if paths:
            shown = " and ".join(map(self.folder.shown, paths))
            error = FileError(
                file=self.folder.shown(paths[0]), found=shown, allowed="one of them",
                advice="remove the other",
            )  # fmt: skip
            raise Wrong([error])
        assert named_by is not None
        known = self.folder.ids(kind)
        create = f"create {self.folder.shown(f'{kind}/{id_}{SUFFIXES[kind][0]}')}"
        near = nearest(id_, known)
        error = named_by.error(
            field,
            found=f"{described(id_)}, for which there is no file",
            allowed=f"one of {kind}: {listed(known, empty='there are none yet')}",
            advice=f"{near} Or {create}" if near else create,
        )
        raise Wrong([error])

    def _text(self, path: str) -> str:
        if (error := self.folder.unread.get(path)) is not None:
            raise Wrong([error])
        return self.folder.texts[path]

    def _yaml(
        self, kind: str, id_: str, named_by: Document | None = None, field: Path = ()
    ) -> Document:
        path = self._path(kind, id_, named_by, field)
        return read_yaml(self._text(path), self.folder.shown(path))

    def _source(self, document: Document, source: str) -> SourceSpec | None:
        file = self._tried(lambda: self._source_file(document, source))
        if file is None:
            return None
        stated = file.options.model_dump()
        contract = ContractSpec.model_validate(file.contract.model_dump(), extra="forbid")
        options: FileOptions | OpenAiOptions
        if isinstance(file, FileSourceFile):
            options = FileOptions.model_validate(stated, extra="forbid")
        else:
            options = OpenAiOptions.model_validate(stated, extra="forbid")
        texts = TextsSpec(
            epochs=tuple(file.texts.epochs.items()),
            truncate_fractions=file.texts.truncate_fractions,
        )
        return SourceSpec(
            source_id=source,
            secret=file.secret,
            options=options,
            texts=texts,
            contract=contract,
        )

    def _source_file(self, document: Document, source: str) -> SourceFile:
        found = self._yaml("sources", source, document, ("source",))
        kind = _kind(found)
        file = parse(found, SOURCE_FILES[kind])
        if problems := tuple(source_checks.check_source(file, found)):
            raise Wrong(problems)
        return file

    def _columns(
        self, document: Document, field: Path, schema: str
    ) -> tuple[ColumnSpec, ...] | None:
        if schema == focus.SCHEMA and not self.folder.paths("schemas", schema):
            return _focus_columns()
        return self._tried(lambda: self._read_columns(document, field, schema))

    def _read_columns(self, document: Document, field: Path, schema: str) -> tuple[ColumnSpec, ...]:
        path = self._path("schemas", schema, document, field)
        return read_columns(read_json(self._text(path), self.folder.shown(path)))

    def _quality(self, document: Document, file: PipelineFile) -> QualitySpec | None:
        quality = file.quality
        text: str | None = ""
        if quality.suite is not None:
            suite = quality.suite
            text = self._tried(lambda: self._suite(document, suite))
        if text is None:
            return None
        return QualitySpec(
            suite_id=quality.suite,
            suite_document=text,
            on_failure=quality.on_failure,
            hold_for_seconds=quality.hold_for,
        )

    def _suite(self, document: Document, suite: str) -> str:
        path = self._path("suites", suite, document, ("quality", "suite"))
        text = self._text(path)
        found = read_json(text, self.folder.shown(path))
        if not isinstance(found.value, dict):
            advice = "write a Great Expectations suite as its `to_json_dict` gives it"
            allowed = "an object with name and expectations"
            raise Wrong(
                [found.error((), found=described(found.value), allowed=allowed, advice=advice)]
            )
        return text

    def _transform(
        self, document: Document, index: int, file: PipelineFile
    ) -> TransformSpec | None:
        part = file.transforms[index]
        field: Path = ("transforms", index)
        sql = self._tried(
            lambda: self._text(self._path("transforms", part.sql, document, (*field, "sql")))
        )
        columns = self._transform_columns(document, field, part)
        if sql is None or columns is None:
            return None
        return TransformSpec(
            transform_id=part.sql,
            sql=sql,
            target=_target(part.target, _silver_default(part, columns)),
            columns=columns,
            scope=tuple(part.scope.items()),
        )

    def _transform_columns(
        self, document: Document, field: Path, part: TransformPart
    ) -> tuple[ColumnSpec, ...] | None:
        if part.table_schema is not None:
            return self._columns(document, (*field, "schema"), part.table_schema)
        return _focus_columns() if part.target.table == focus.TABLE else ()


def _kind(found: Document) -> str:
    if isinstance(found.value, dict):
        known = Document(
            file=found.file,
            value={key: value for key, value in found.value.items() if key == "kind"},
            lines=found.lines,
        )
        return parse(known, SourceKind).kind
    return parse(found, SourceKind).kind


def _focus_columns() -> tuple[ColumnSpec, ...]:
    return tuple(ColumnSpec.model_validate(c._asdict()) for c in focus.focus_columns())


def _silver_default(part: TransformPart, columns: tuple[ColumnSpec, ...]) -> TargetSpec:
    """Return what a transform's target has where the file says nothing."""
    known = TargetSpec(dataset=part.target.dataset, table=part.target.table)
    if part.target.table == focus.TABLE and columns == _focus_columns():
        return known.model_copy(update={"partition_by": focus.PARTITION_BY})
    return known


def _target(part: TargetPart, default: TargetSpec) -> TargetSpec:
    cluster_by = default.cluster_by if part.cluster_by is None else tuple(part.cluster_by)
    return TargetSpec(
        dataset=part.dataset,
        table=part.table,
        partition_by=part.partition_by or default.partition_by,
        cluster_by=cluster_by,
    )


def _write(file: PipelineFile, columns: tuple[ColumnSpec, ...]) -> WriteSpec:
    write = file.write
    said, fixed = split(write.scope)
    types = {column.name: column.type for column in columns}
    return WriteSpec(
        mode=write.mode,
        scope=said,
        fixed=tuple((column, _literal(value, types.get(column, ""))) for column, value in fixed),
        key=tuple(write.key),
        version=write.version,
    )


def _literal(value: str, type_: str) -> str:
    """Return a fixed value as scopes write it; one that is wrong stays, to be refused by a check."""
    try:
        return scope_literal(value, type_)
    except Misread:
        return value


def _schedule(file: PipelineFile) -> ScheduleSpec | None:
    if file.schedule is None:
        return None
    schedule = file.schedule
    return ScheduleSpec(
        cron=schedule.cron,
        timezone=schedule.timezone,
        overlap=schedule.overlap,
        jitter_seconds=schedule.jitter,
        catch_up_seconds=schedule.catch_up,
        after=tuple(dict.fromkeys(schedule.after)),
        after_timeout_seconds=schedule.after_timeout,
    )


def _limits(file: PipelineFile) -> LimitsSpec:
    limits = file.limits
    return LimitsSpec(
        max_parallel_chunks=limits.max_parallel_chunks,
        chunk_bytes=limits.chunk_bytes,
        chunk_attempts=limits.chunk_attempts,
        timeout_seconds=limits.timeout,
    )
