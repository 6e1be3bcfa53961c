"""What every place promises that secrets come from, and what each promises besides."""

import dataclasses
import os
from collections.abc import Callable, Generator
from pathlib import Path

import grpc
import pytest

from libs.common.secret_files import FileSecrets
from libs.common.secret_manager_secrets import SecretManagerSecrets
from libs.common.secrets import (
    SecretNotFound,
    SecretNotPrivate,
    Secrets,
    SecretStore,
    SecretStoreUnavailable,
)
from tests.support.secret_manager import PROJECT, SecretManager, secret_manager

SECRET = "sk-admin-Zw9"


@pytest.fixture(scope="module")
def running() -> Generator[SecretManager]:
    with secret_manager() as found:
        yield found


@pytest.fixture
def manager(running: SecretManager) -> SecretManager:
    """Return the module's Secret Manager, empty and in good health."""
    running.clear()
    return running


@pytest.fixture
def remote(manager: SecretManager) -> SecretManagerSecrets:
    return SecretManagerSecrets(PROJECT, manager.address)


@dataclasses.dataclass(frozen=True, slots=True)
class Place:
    """A store, and the way secrets get into it."""

    store: SecretStore
    put: Callable[[str, str, bytes], None]


def put_file(root: Path, tenant: str, name: str, data: bytes) -> Path:
    """Write a secret as its owner should; return its file."""
    file = root / tenant / "secrets" / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(data)
    file.chmod(0o600)
    return file


@pytest.fixture(params=["files", "secret manager"])
def place(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    manager: SecretManager,
    remote: SecretManagerSecrets,
) -> Place:
    if request.param == "files":

        def write(tenant: str, name: str, data: bytes) -> None:
            put_file(tmp_path, tenant, f"{name}.txt", data)

        return Place(FileSecrets(tmp_path), write)
    return Place(remote, lambda tenant, name, data: manager.put(f"{tenant}-{name}", data))


@pytest.mark.parametrize("around", ["{}", "{}\n", "{}\r\n", " {}\t\n\n"], ids=ascii)
def test_a_secret_is_given_without_the_blanks_around_it(around: str, place: Place) -> None:
    place.put("acme", "api_key", around.format(SECRET).encode())
    found = place.store.find("acme", "api_key")
    assert found is not None
    assert found.reveal() == SECRET


def test_a_secret_of_many_lines_keeps_them(place: Place) -> None:
    place.put("acme", "signing_key", b"-----BEGIN-----\nAAA\n-----END-----\n")
    found = place.store.find("acme", "signing_key")
    assert found is not None
    assert found.reveal() == "-----BEGIN-----\nAAA\n-----END-----"


def test_a_secret_that_is_not_there_is_none(place: Place) -> None:
    place.put("acme", "other_key", SECRET.encode())
    assert place.store.find("acme", "api_key") is None


def test_a_tenants_secret_is_not_anothers(place: Place) -> None:
    place.put("acme", "api_key", SECRET.encode())
    assert place.store.find("widgets", "api_key") is None


def test_what_was_found_does_not_show_itself(place: Place) -> None:
    place.put("acme", "api_key", SECRET.encode())
    found = place.store.find("acme", "api_key")
    assert SECRET not in f"{found} {found!r} {[found]}"


@pytest.mark.parametrize("data", [b"", b"\n", b" \t\n"], ids=["nothing", "a line", "blanks"])
def test_an_empty_secret_is_refused_with_the_place_to_write_it(data: bytes, place: Place) -> None:
    place.put("acme", "api_key", data)
    with pytest.raises(SecretNotFound, match=r"acme.*api_key.*is empty; write the secret") as error:
        place.store.find("acme", "api_key")
    assert error.value.metadata == {"secret": "api_key"}


def test_a_secret_that_is_no_text_is_refused_without_showing_it(place: Place) -> None:
    place.put("acme", "api_key", b"\xff\xfe" + SECRET.encode())
    with pytest.raises(SecretNotFound, match="is no UTF-8 text") as error:
        place.store.find("acme", "api_key")
    assert error.value.reason == "SECRET_NOT_FOUND"
    assert error.value.__cause__ is None
    assert error.value.__suppress_context__
    assert SECRET not in str(error.value)


def test_a_place_says_where_a_secret_would_be(place: Place) -> None:
    said = place.store.describe("acme", "api_key")
    assert "acme" in said
    assert "api_key" in said


@pytest.mark.parametrize("file", ["api_key", "api_key.txt"])
@pytest.mark.parametrize("mode", [0o600, 0o400])
def test_a_file_that_only_its_owner_may_read_is_a_secret(
    mode: int, file: str, tmp_path: Path
) -> None:
    put_file(tmp_path, "acme", file, SECRET.encode()).chmod(mode)
    found = FileSecrets(tmp_path).find("acme", "api_key")
    assert found is not None
    assert found.reveal() == SECRET


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o610, 0o601, 0o602, 0o644, 0o777], ids=oct)
def test_a_file_that_others_may_touch_is_refused(mode: int, tmp_path: Path) -> None:
    put_file(tmp_path, "acme", "api_key.txt", SECRET.encode()).chmod(mode)
    with pytest.raises(SecretNotPrivate) as error:
        FileSecrets(tmp_path).find("acme", "api_key")
    assert error.value.reason == "SECRET_NOT_PRIVATE"
    assert error.value.metadata == {
        "secret": "api_key",
        "path": "acme/secrets/api_key.txt",
        "mode": f"{mode:04o}",
    }
    assert str(error.value).endswith("chmod 600 acme/secrets/api_key.txt")


@pytest.fixture
def outside(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return another tenant's secret, outside of the folder that the tests use."""
    return put_file(tmp_path_factory.mktemp("outside"), "widgets", "api_key.txt", SECRET.encode())


def link_the_file(root: Path, outside: Path) -> None:
    (root / "acme" / "secrets").mkdir(parents=True)
    (root / "acme" / "secrets" / "api_key.txt").symlink_to(outside)


def link_nowhere(root: Path, outside: Path) -> None:
    outside.unlink()
    link_the_file(root, outside)


def link_the_folder(root: Path, outside: Path) -> None:
    (root / "acme").mkdir()
    (root / "acme" / "secrets").symlink_to(outside.parent)


def link_the_tenant(root: Path, outside: Path) -> None:
    (root / "acme").symlink_to(outside.parent.parent)


def link_within_the_folder(root: Path, outside: Path) -> None:
    put_file(root, "acme", "real.txt", SECRET.encode())
    (root / "acme" / "secrets" / "api_key.txt").symlink_to("real.txt")


@pytest.mark.parametrize(
    "link",
    [link_the_file, link_nowhere, link_the_folder, link_the_tenant, link_within_the_folder],
    ids=lambda link: link.__name__,
)
def test_a_link_is_refused_wherever_it_leads(
    link: Callable[[Path, Path], None], tmp_path: Path, outside: Path
) -> None:
    link(tmp_path, outside)
    with pytest.raises(SecretNotPrivate, match="is a symbolic link") as error:
        FileSecrets(tmp_path).find("acme", "api_key")
    assert error.value.metadata["mode"] == "link"


def test_the_root_itself_may_be_a_link(tmp_path: Path) -> None:
    put_file(tmp_path / "checkout", "acme", "api_key.txt", SECRET.encode())
    (tmp_path / "configs").symlink_to("checkout")
    assert FileSecrets(tmp_path / "configs").find("acme", "api_key") is not None


def test_a_folder_in_a_secrets_place_is_refused(tmp_path: Path) -> None:
    (tmp_path / "acme" / "secrets" / "api_key").mkdir(parents=True, mode=0o700)
    with pytest.raises(SecretNotPrivate) as error:
        FileSecrets(tmp_path).find("acme", "api_key")
    assert error.value.metadata["mode"] == "drwx------"


def test_a_pipe_in_a_secrets_place_is_refused_and_nobody_waits_for_it(tmp_path: Path) -> None:
    put_file(tmp_path, "acme", "other", b"x")
    os.mkfifo(tmp_path / "acme" / "secrets" / "api_key", 0o600)
    with pytest.raises(SecretNotPrivate) as error:
        FileSecrets(tmp_path).find("acme", "api_key")
    assert error.value.metadata["mode"] == "prw-------"


def test_a_file_that_is_no_secret_for_its_size_is_refused(tmp_path: Path) -> None:
    put_file(tmp_path, "acme", "api_key.txt", b"x" * (64 * 1024 + 1))
    with pytest.raises(SecretNotFound, match="longer than 65536 bytes"):
        FileSecrets(tmp_path).find("acme", "api_key")


def test_where_the_secrets_folder_should_be_may_be_a_file(tmp_path: Path) -> None:
    (tmp_path / "acme").mkdir()
    (tmp_path / "acme" / "secrets").write_text("no folder")
    assert FileSecrets(tmp_path).find("acme", "api_key") is None


@pytest.mark.parametrize(
    ("tenant", "name"),
    [
        ("acme", "../../widgets/secrets/api_key"),
        ("acme", ""),
        ("acme", ".hidden"),
        ("acme", "API_KEY"),
        ("acme", "a/b"),
        ("acme", "a\0b"),
        ("..", "api_key"),
        ("", "api_key"),
        ("acme/..", "api_key"),
    ],
    ids=ascii,
)
def test_a_name_that_could_lead_elsewhere_is_refused(
    tenant: str, name: str, tmp_path: Path
) -> None:
    put_file(tmp_path, "widgets", "api_key", SECRET.encode())
    with pytest.raises(SecretNotFound, match="allowed is"):
        FileSecrets(tmp_path).find(tenant, name)


def test_the_newest_version_of_the_tenants_secret_is_asked_for(
    manager: SecretManager, remote: SecretManagerSecrets
) -> None:
    manager.put("acme-api_key", SECRET.encode())
    remote.find("acme", "api_key")
    assert manager.asked == [f"projects/{PROJECT}/secrets/acme-api_key/versions/latest"]


def test_a_version_without_a_checksum_is_believed(
    manager: SecretManager, remote: SecretManagerSecrets
) -> None:
    manager.put("acme-api_key", SECRET.encode(), checksum=None)
    assert remote.find("acme", "api_key") is not None


@pytest.mark.parametrize("checksum", [0, 12345])
def test_a_payload_that_was_damaged_on_the_way_is_refused(
    checksum: int, manager: SecretManager, remote: SecretManagerSecrets
) -> None:
    manager.put("acme-api_key", SECRET.encode(), checksum=checksum)
    with pytest.raises(SecretStoreUnavailable, match="checksum differs") as error:
        remote.find("acme", "api_key")
    assert error.value.reason == "SECRET_STORE_UNAVAILABLE"
    assert error.value.metadata == {"secret": "api_key"}


def test_a_disabled_version_is_refused_and_named(
    manager: SecretManager, remote: SecretManagerSecrets
) -> None:
    manager.put("acme-api_key", SECRET.encode(), enabled=False)
    with pytest.raises(SecretNotFound, match="disabled or destroyed; add a version"):
        remote.find("acme", "api_key")


def test_a_secret_that_may_not_be_read_names_the_role_that_is_missing(
    manager: SecretManager, remote: SecretManagerSecrets
) -> None:
    manager.put("acme-api_key", SECRET.encode(), readable=False)
    with pytest.raises(SecretNotFound, match=r"roles/secretmanager\.secretAccessor") as error:
        remote.find("acme", "api_key")
    assert error.value.reason == "SECRET_NOT_FOUND"


def test_a_short_outage_is_waited_for(manager: SecretManager, remote: SecretManagerSecrets) -> None:
    manager.put("acme-api_key", SECRET.encode())
    manager.refusals += [grpc.StatusCode.UNAVAILABLE] * 2
    found = remote.find("acme", "api_key")
    assert found is not None
    assert found.reveal() == SECRET
    assert len(manager.asked) == 3


@pytest.mark.parametrize(
    "code",
    [
        grpc.StatusCode.INTERNAL,
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        grpc.StatusCode.UNAUTHENTICATED,
        grpc.StatusCode.DEADLINE_EXCEEDED,
    ],
    ids=lambda code: code.name,
)
def test_a_store_that_fails_is_unavailable_and_not_without_the_secret(
    code: grpc.StatusCode, manager: SecretManager, remote: SecretManagerSecrets
) -> None:
    manager.refusals.append(code)
    with pytest.raises(SecretStoreUnavailable, match="cannot be read now") as error:
        remote.find("acme", "api_key")
    assert error.value.reason == "SECRET_STORE_UNAVAILABLE"
    assert len(manager.asked) == 1


def test_without_googles_credentials_the_store_is_unavailable(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "none.json"))
    with pytest.raises(SecretStoreUnavailable):
        SecretManagerSecrets(PROJECT).find("acme", "api_key")


@dataclasses.dataclass(slots=True)
class Clock:
    """Seconds that pass when a test says so."""

    seconds: float = 0.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def both(tmp_path: Path, remote: SecretManagerSecrets) -> tuple[Secrets, Clock]:
    """Return secrets as a worker reads them: files, then Secret Manager."""
    clock = Clock()
    return Secrets([FileSecrets(tmp_path), remote], monotonic=clock), clock


def test_a_file_comes_before_secret_manager(
    both: tuple[Secrets, Clock], tmp_path: Path, manager: SecretManager
) -> None:
    put_file(tmp_path, "acme", "api_key", b"of the file")
    manager.put("acme-api_key", b"of Secret Manager")
    assert both[0].get("acme", "api_key").reveal() == "of the file"
    assert manager.asked == []


def test_a_file_that_is_not_private_is_not_passed_over(
    both: tuple[Secrets, Clock], tmp_path: Path, manager: SecretManager
) -> None:
    put_file(tmp_path, "acme", "api_key", b"of the file").chmod(0o644)
    manager.put("acme-api_key", b"of Secret Manager")
    with pytest.raises(SecretNotPrivate):
        both[0].get("acme", "api_key")


def test_secret_manager_is_asked_once_in_two_minutes(
    both: tuple[Secrets, Clock], manager: SecretManager
) -> None:
    secrets, clock = both
    manager.put("acme-api_key", b"old")
    assert secrets.get("acme", "api_key").reveal() == "old"
    manager.put("acme-api_key", b"new")
    clock.seconds = 119.0
    assert secrets.get("acme", "api_key").reveal() == "old"
    assert len(manager.asked) == 1
    clock.seconds = 120.0
    assert secrets.get("acme", "api_key").reveal() == "new"


def test_that_a_secret_is_missing_is_not_kept(
    both: tuple[Secrets, Clock], manager: SecretManager
) -> None:
    secrets, _ = both
    with pytest.raises(SecretNotFound) as error:
        secrets.get("acme", "api_key")
    assert str(error.value) == (
        "secret api_key of acme is neither in the file acme/secrets/api_key.txt nor "
        f"Secret Manager's acme-api_key in project {PROJECT}; create it there"
    )
    assert error.value.metadata == {"secret": "api_key"}
    manager.put("acme-api_key", SECRET.encode())
    assert secrets.get("acme", "api_key").reveal() == SECRET
