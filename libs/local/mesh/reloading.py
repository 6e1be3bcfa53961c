"""Which processes a change of code concerns, for development."""

from collections.abc import AsyncIterator, Iterable, Sequence
from pathlib import Path

import watchfiles

from libs.local.mesh.plans import ROOT, Plan


async def changes(planned: Sequence[Plan]) -> AsyncIterator[tuple[list[str], str]]:
    """Yield names of processes to restart, and the file that changed, whenever code changes."""
    folders = {ROOT / folder for plan in planned for folder in plan.code}
    existing = [folder for folder in sorted(folders) if folder.is_dir()]
    async for found in watchfiles.awatch(*existing, watch_filter=watchfiles.PythonFilter()):
        files = [Path(file) for _, file in found]
        if names := concerned(planned, files):
            yield names, _shown(files[0])


def _shown(file: Path) -> str:
    return str(file.relative_to(ROOT) if file.is_relative_to(ROOT) else file)


def concerned(planned: Iterable[Plan], files: Iterable[Path]) -> list[str]:
    """Return the names of the processes that run code of one of `files`."""
    changed = list(files)
    return [
        plan.name
        for plan in planned
        if any(file.is_relative_to(ROOT / folder) for folder in plan.code for file in changed)
    ]
