"""Development: a process is started anew when code that it runs changes."""

import asyncio
import signal
from pathlib import Path

from libs.local.mesh.states import State
from tests.integration.local.supervising import SLEEP, plan, running, until

RUN_FILE = "import runpy; runpy.run_path({file!r})"
ONE, TWO = SLEEP.replace("'up'", "'one'"), SLEEP.replace("'up'", "'two'")


def _says(state: State, name: str, word: str) -> bool:
    """Whether the process runs and `word` is the last thing that it said."""
    process = state.process(name)
    log = Path(process.log)
    said = log.read_text().splitlines() if process.identity and log.exists() else []
    return said[-1:] == [word]


async def _change(file: Path, folder: Path) -> State:
    """Change the file, and again until that is seen: watching begins some time after the start."""
    while True:
        draft = file.with_suffix(".draft")
        draft.write_text(TWO)
        draft.replace(file)
        try:
            async with asyncio.timeout(3):
                return await until(folder, lambda state: _says(state, "quality", "two"))
        except TimeoutError:
            continue


async def test_a_change_of_its_code_starts_a_process_anew_and_leaves_others(
    tmp_path: Path,
) -> None:
    code, other = tmp_path / "quality", tmp_path / "auth"
    code.mkdir()
    other.mkdir()
    file = code / "rules.py"
    file.write_text(ONE)
    planned = (
        plan("quality", RUN_FILE.format(file=str(file)), str(code)),
        plan("auth", SLEEP, str(other)),
    )
    async with running(tmp_path, *planned, dev=True):
        first = await until(
            tmp_path, lambda state: _says(state, "quality", "one") and _says(state, "auth", "up")
        )
        again = await _change(file, tmp_path)
    assert again.process("quality").identity != first.process("quality").identity
    assert again.process("quality").restarts == 0
    assert again.process("auth").identity == first.process("auth").identity


async def test_a_correction_starts_a_broken_process_at_once_and_its_next_death_counts(
    tmp_path: Path,
) -> None:
    file = tmp_path / "rules.py"
    file.write_text("raise SystemExit(3)")
    async with running(tmp_path, plan("quality", RUN_FILE.format(file=str(file)))) as supervisor:
        await until(tmp_path, lambda state: state.process("quality").restarts == 3)
        file.write_text(SLEEP)
        await supervisor.reload(["quality"], "rules.py")
        state = await until(tmp_path, lambda state: _says(state, "quality", "up"))
        process = state.process("quality").identity
        assert process is not None
        before = state.process("quality").restarts
        process.signal(signal.SIGKILL)
        await until(tmp_path, lambda state: state.process("quality").restarts == before + 1)
