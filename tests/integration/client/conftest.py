"""The command line as a user types it, in this process."""

from pathlib import Path

import pytest

from libs.client.cli import main
from tests.integration.client.commands import KEY, Command, Said


@pytest.fixture
def command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Command:
    """Return what runs `convergence …` with a key of acme_corp and without a profile file."""
    monkeypatch.setenv("CONVERGENCE_API_KEY", KEY)
    monkeypatch.setenv("CONVERGENCE_PROFILES", str(tmp_path / "none.toml"))
    monkeypatch.delenv("CONVERGENCE_TENANT", raising=False)

    def run(*arguments: str, address: str = "127.0.0.1:1") -> Said:
        monkeypatch.setenv("CONVERGENCE_ADDRESS", address)
        monkeypatch.setattr("sys.argv", ["convergence", *arguments])
        status: int | str | None = 0
        try:
            main()
        except SystemExit as stop:
            status = stop.code
        out, err = capsys.readouterr()
        return Said(status=int(status or 0), out=out, err=err)

    return run
