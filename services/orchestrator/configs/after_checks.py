"""What must hold between a pipeline and those that its schedule waits for."""

from collections.abc import Iterator
from typing import Final

from services.orchestrator.configs.documents import Document, Path, Unreadable, Value, read_yaml
from services.orchestrator.configs.file_errors import FileError, listed, nearest
from services.orchestrator.configs.folder import Folder
from services.orchestrator.specs import PipelineSpec

_AFTER: Final[Path] = ("schedule", "after")


def check_after(spec: PipelineSpec, document: Document, folder: Folder) -> Iterator[FileError]:
    """Yield what is wrong with `schedule.after`: who is not there, has another window, waits too."""
    after = spec.schedule.after if spec.schedule else ()
    if after and spec.window is None:
        yield document.error(
            _AFTER, found="no window", allowed="a window, for which the others have run",
            advice="add window: {grain: day}, or remove after",
        )  # fmt: skip
        return
    known = [pipeline for pipeline in folder.ids("pipelines") if pipeline != spec.pipeline]
    for index, other in enumerate(after):
        field: Path = (*_AFTER, index)
        if not folder.paths("pipelines", other):
            yield document.error(
                field, found=f"{other}, for which there is no file",
                allowed=f"one of pipelines: {listed(known, empty='there are no others')}",
                advice=nearest(other, known) or f"create {folder.shown(f'pipelines/{other}.yml')}",
            )  # fmt: skip
            continue
        if circle := _circle(folder, spec.pipeline, other):
            yield document.error(
                field, found=f"{' after '.join(circle)}: none of them would ever run",
                allowed="pipelines that do not wait for this one", advice="remove one of them",
            )  # fmt: skip
            continue
        yield from _window(spec, document, folder, other, field)


def _window(
    spec: PipelineSpec, document: Document, folder: Folder, other: str, field: Path
) -> Iterator[FileError]:
    """Both run for days, or both for months: else nobody can say which run is about the same."""
    assert spec.window is not None
    file = _file(folder, other)
    grain = _mapping(_mapping(file).get("window")).get("grain", "no window")
    if file is not None and grain != spec.window.grain:
        yield document.error(
            field, found=f"{other}, which has {grain}", allowed=f"grain {spec.window.grain}, as here",
            advice="give both windows of one grain, or remove it",
        )  # fmt: skip


def _circle(folder: Folder, pipeline: str, other: str) -> list[str]:
    """Return `[pipeline, other, …, pipeline]` if `other` waits for `pipeline` in the end; else nothing."""
    ways = [[pipeline, other]]
    seen = {other}
    while ways:
        way = ways.pop()
        if way[-1] == pipeline:
            return way
        found = _mapping(_mapping(_file(folder, way[-1])).get("schedule")).get("after")
        for name in found if isinstance(found, list) else []:
            if isinstance(name, str) and name not in seen:
                seen.add(name)
                ways.append([*way, name])
    return []


def _file(folder: Folder, pipeline: str) -> Value:
    """Return what a pipeline's file says; nothing where it cannot be read: its own errors say so."""
    paths = folder.paths("pipelines", pipeline)
    text = folder.texts.get(paths[0]) if paths else None
    if text is None:
        return None
    try:
        return read_yaml(text, folder.shown(paths[0])).value
    except Unreadable:
        return None


def _mapping(value: Value) -> dict[str, Value]:
    return value if isinstance(value, dict) else {}
