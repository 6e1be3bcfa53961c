"""Development: a process is started anew when code that it runs changes."""

import asyncio
import signal
from pathlib import Path

from tests.integration.local.supervising import SLEEP, plan, running, until

RUN_FILE = "import runpy; runpy.run_path({file!r})"


def _wrote(log: str, *lines: str) -> bool:
    return Path(log).read_text().splitlines()[: len(lines)] == list(lines)


async def test_a_change_of_its_code_starts_a_process_anew_and_leaves_others(
    tmp_path: Path,
) -> None:
    code, other = tmp_path / "quality", tmp_path / "auth"
    code.mkdir()
    other.mkdir()
    file = code / "rules.py"
    file.write_text(SLEEP.replace("'up'", "'one'"))
    planned = (
        plan("quality", RUN_FILE.format(file=str(file)), str(code)),
        plan("auth", SLEEP, str(other)),
    )
    async with running(tmp_path, *planned, dev=True):
        first = await until(tmp_path, lambda state: _wrote(state.process("quality").log, "one"))
        await _watching(file)
        again = await until(
            tmp_path, lambda state: _wrote(state.process("quality").log, "one", "two")
        )
    assert again.process("quality").identity != first.process("quality").identity
    assert again.process("quality").restarts == 0
    assert again.process("auth").identity == first.process("auth").identity
    assert _wrote(again.process("auth").log, "up")


async def _watching(file: Path) -> None:
    """Change the file until the change has been seen: watching begins some time after the start."""
    log = file.parents[1] / "logs" / "mesh.log"
    async with asyncio.timeout(20):
        while "process.reloaded" not in log.read_text():
            file.write_text(SLEEP.replace("'up'", "'two'"))
            await asyncio.sleep(0.3)


async def test_a_correction_starts_a_broken_process_at_once_and_its_next_death_counts(
    tmp_path: Path,
) -> None:
    file = tmp_path / "rules.py"
    file.write_text("raise SystemExit(3)")
    async with running(tmp_path, plan("quality", RUN_FILE.format(file=str(file)))) as supervisor:
        await until(tmp_path, lambda state: state.process("quality").restarts == 3)
        file.write_text(SLEEP)
        await supervisor.reload(["quality"], "rules.py")
        state = await until(tmp_path, lambda state: _wrote(state.process("quality").log, "up"))
        process = state.process("quality").identity
        assert process is not None
        before = state.process("quality").restarts
        process.signal(signal.SIGKILL)
        await until(tmp_path, lambda state: state.process("quality").restarts == before + 1)
