"""How long a secret is used before its store is asked again."""

from pathlib import Path

import pytest

from libs.common.secret_files import FileSecrets
from libs.common.secrets import SecretNotFound, Secrets, SecretText


class Remote:
    """A store that is slow to ask, and counts how often it is."""

    keep_seconds = 120.0

    def __init__(self, text: str | None) -> None:
        self.text = text
        self.asked = 0

    def describe(self, tenant: str, name: str) -> str:
        return f"the remote {tenant}-{name}"

    def find(self, tenant: str, name: str) -> SecretText | None:
        self.asked += 1
        return None if self.text is None else SecretText(self.text)


class Clock:
    """Seconds that a test moves."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def _write(configs: Path, text: str) -> None:
    file = configs / "acme" / "secrets" / "api_key.txt"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    file.chmod(0o600)


def test_a_corrected_secret_file_is_used_at_once(tmp_path: Path) -> None:
    secrets = Secrets([FileSecrets(tmp_path)], monotonic=Clock())
    _write(tmp_path, "wrong")
    assert secrets.get("acme", "api_key").reveal() == "wrong"
    _write(tmp_path, "right")
    assert secrets.get("acme", "api_key").reveal() == "right"


def test_a_remote_secret_is_asked_for_again_only_when_its_time_is_over() -> None:
    clock, remote = Clock(), Remote("first")
    secrets = Secrets([remote], monotonic=clock)
    secrets.get("acme", "api_key")
    remote.text = "second"
    clock.now = 119.9
    assert (secrets.get("acme", "api_key").reveal(), remote.asked) == ("first", 1)
    clock.now = 120.1
    assert (secrets.get("acme", "api_key").reveal(), remote.asked) == ("second", 2)


def test_a_file_that_appears_wins_over_a_remote_secret_that_is_kept(tmp_path: Path) -> None:
    secrets = Secrets([FileSecrets(tmp_path), Remote("remote")], monotonic=Clock())
    assert secrets.get("acme", "api_key").reveal() == "remote"
    _write(tmp_path, "local")
    assert secrets.get("acme", "api_key").reveal() == "local"


def test_a_secret_that_no_store_has_is_refused_with_every_place_to_put_it(tmp_path: Path) -> None:
    files = FileSecrets(tmp_path)
    with pytest.raises(SecretNotFound, match=r"not in the file acme/secrets/api_key\.txt; create"):
        Secrets([files], monotonic=Clock()).get("acme", "api_key")
    both = Secrets([files, Remote(None)], monotonic=Clock())
    with pytest.raises(SecretNotFound, match=r"neither in the file .* nor the remote acme-api_key"):
        both.get("acme", "api_key")
