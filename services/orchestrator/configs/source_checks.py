"""What must hold between the options of a source."""

from collections.abc import Iterator

from services.orchestrator.configs.documents import Document
from services.orchestrator.configs.file_errors import FileError
from services.orchestrator.configs.files import FileSourceFile, SourceFile


def check_source(file: SourceFile, document: Document) -> Iterator[FileError]:
    """Yield what is wrong between the options of a source."""
    if isinstance(file, FileSourceFile):
        for name in ("compression", "encoding"):
            if getattr(file.options, name) and file.options.format == "parquet":
                yield document.error(
                    ("options", name), found=f"{name} with format parquet",
                    allowed=f"{name} with formats of text; Parquet files say theirs themselves",
                    advice="remove it",
                )  # fmt: skip
        for name in ("delimiter", "quote", "null_values"):
            if getattr(file.options, name) and file.options.format != "csv":
                yield document.error(
                    ("options", name), found=f"{name} with format {file.options.format}",
                    allowed=f"{name} with format csv", advice="remove it",
                )  # fmt: skip
        yield from _pages(file, document)
        yield from _store(file, document)
        return
    groups = {"usage_group_by": "usage/completions", "costs_group_by": "costs"}
    for name, report in groups.items():
        if getattr(file.options, name) and report not in file.options.reports:
            yield document.error(
                ("options", name), found=f"{name} without the report {report}",
                allowed=f"{name} beside reports: [{report}]", advice="add the report or remove it",
            )  # fmt: skip


def _pages(file: FileSourceFile, document: Document) -> Iterator[FileError]:
    options = file.options
    for name in ("records", "parent_fields"):
        if getattr(options, name) and options.format != "json":
            yield document.error(
                ("options", name), found=f"{name} with format {options.format}",
                allowed=f"{name} with format json", advice="remove it",
            )  # fmt: skip
    if options.parent_fields and not options.records and options.format == "json":
        yield document.error(
            ("options", "parent_fields"), found="parent_fields without records",
            allowed="parent_fields beside records", advice="say in records where the array is",
        )  # fmt: skip


def _store(file: FileSourceFile, document: Document) -> Iterator[FileError]:
    options = file.options
    if options.path.startswith("s3://") and file.secret is None:
        yield document.error(
            (), found="no secret", allowed="a secret for sources on s3://",
            advice="put access_key_id and secret_access_key as JSON into a secret and name it: secret: NAME",
        )  # fmt: skip
    if not options.remote and file.secret is not None:
        yield document.error(
            ("secret",), found="a secret for files below the tenant's folder",
            allowed="a secret for gs:// and s3://", advice="remove it",
        )  # fmt: skip
    stores = {"region": ("s3://",), "endpoint": ("gs://", "s3://")}
    for name, schemes in stores.items():
        if getattr(options, name) and not options.path.startswith(schemes):
            yield document.error(
                ("options", name), found=f"{name} with path {options.path}",
                allowed=f"{name} with {' or '.join(schemes)}", advice="remove it",
            )  # fmt: skip
