"""`convergence pipelines`: what a tenant's files say, and whether it would work."""

from datetime import datetime

import click
from convergence.orchestrator.v1.pipeline_pb2 import FileError, Pipeline, WriteMode

from libs.client.cli import output
from libs.client.cli.failures import WRONG_ARGUMENTS
from libs.client.cli.listings import visible
from libs.client.cli.parameters import date_option
from libs.client.cli.receipts import scope_text, window_text
from libs.client.cli.session import Session, connected


@click.group()
def pipelines() -> None:
    """Look at pipelines and check them (needs pipelines:read).

    \b
    Examples:
      convergence pipelines validate p_focus_billing
      convergence pipelines plan p_openai_daily --date 2026-11-20
    """


@pipelines.command("list")
@connected
def list_(session: Session) -> int:
    """List the pipelines of a tenant.

    \b
    Example:
      convergence pipelines list --tenant acme_corp
    """
    with session.client() as client:
        found = client.pipelines.list(str(session.tenant()))
    if session.json:
        output.print_json([output.plain(pipeline) for pipeline in found])
        return 0
    rows = [
        (
            one.name.rpartition("/")[2],
            one.source_kind,
            one.target_table,
            _mode(one),
            _count(len(one.errors), "error") if one.errors else "ok",
        )
        for one in found
    ]
    nothing = (
        f"{session.tenant()} has no pipelines; each is a file pipelines/NAME.yml of its folder"
    )
    columns = ("pipeline", "source", "target", "write", "files")
    output.print_table(output.table(rows, *columns), nothing)
    return 0


@pipelines.command()
@click.argument("pipeline")
@connected
def get(session: Session, pipeline: str) -> int:
    """Show a pipeline, and what is wrong with its latest edit.

    \b
    Example:
      convergence pipelines get tenants/acme_corp/pipelines/p_focus_billing
    """
    with session.client() as client:
        found = client.pipelines.get(str(session.pipeline(pipeline)))
    if session.json:
        output.print_json(output.plain(found))
        return 0
    console = output.console()
    pairs = {
        "pipeline": found.name,
        "source": f"{found.source} ({found.source_kind})",
        "target": found.target_table,
        "write": _mode(found)
        + (f" by {', '.join(found.scope_columns)}" if found.scope_columns else ""),
        "suite": found.suite,
        "transforms": ", ".join(found.transforms),
        "window": found.window_grain or "deliveries",
        "spec": found.spec_hash,
        "read": output.moment(found.load_time),
    }
    console.print(output.facts(pairs))
    if found.errors:
        click.echo(
            f"\nthe latest edit has {_count(len(found.errors), 'error')}; what is shown stays in use"
        )
    for error in found.errors:
        click.echo("\n".join(_error_lines(error)))
    return 0


@pipelines.command()
@click.argument("pipeline")
@connected
def validate(session: Session, pipeline: str) -> int:
    """Check everything that a run would need.

    Its files, suite, transforms, secret and source; nothing is changed. Exits 2 if something is wrong, naming file, line, field, what was found and what is allowed.

    \b
    Example:
      convergence pipelines validate p_focus_billing
    """
    name = str(session.pipeline(pipeline))
    with session.client() as client:
        answer = client.pipelines.validate(name)
    if session.json:
        output.print_json(output.plain(answer))
        return WRONG_ARGUMENTS if answer.errors else 0
    for error in answer.errors:
        click.echo("\n".join(_error_lines(error)))
    if not answer.errors:
        click.echo(f"{name} is valid, spec {answer.spec_hash[:12]}")
    for warning in answer.warnings:
        click.echo("\n".join(["warning:", *_error_lines(warning)]), err=True)
    return WRONG_ARGUMENTS if answer.errors else 0


@pipelines.command()
@click.argument("pipeline")
@date_option("Day that the run would be for; today minus the pipeline's lag if left out.")
@connected
def plan(session: Session, pipeline: str, window_time: datetime | None) -> int:
    """Say what a run would read and write, changing nothing.

    \b
    Example:
      convergence pipelines plan p_openai_daily --date 2026-11-20
    """
    with session.client() as client:
        answer = client.pipelines.plan(str(session.pipeline(pipeline)), window_time=window_time)
    if session.json:
        output.print_json(output.plain(answer))
        return 0
    pairs = {
        "window": window_text(answer.window) if answer.window.HasField("start_time") else "",
        "replaces": "\n".join(map(scope_text, answer.scope)),
        "target": answer.target_table,
        "chunks": str(answer.chunk_count),
        "bytes": f"about {answer.estimated_bytes:,}" if answer.estimated_bytes else "",
        "reads": "\n".join(answer.inputs),
        "known": "\n".join(answer.known_inputs),
        "not in the schema": ", ".join(answer.extra_columns),
    }
    output.console().print(output.facts(pairs))
    return 0


def _mode(pipeline: Pipeline) -> str:
    return WriteMode.Name(pipeline.write_mode).removeprefix("WRITE_MODE_").lower()


def _error_lines(error: FileError) -> list[str]:
    where = error.file + (f":{error.line}" if error.line else "")
    told = [("found", error.found), ("allowed", error.allowed), ("do", error.advice)]
    lines = [f"{where}: {error.field}" if error.field else f"{where}:"]
    return [*map(visible, lines), *(f"  {name}: {visible(text)}" for name, text in told if text)]


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
