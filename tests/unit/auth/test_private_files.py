"""Files with secrets of the platform: only their owner may read them."""

import os
from pathlib import Path

import pytest

from libs.common.errors import FailedPrecondition
from libs.common.identity import CredentialMissing, IdentityTokenInvalid
from services.auth.file_signing_keys import FileSigningKeyStore
from services.auth.private_files import create_private, read_private
from services.auth.run_authority import SharedKeyAuthority
from services.auth.signing_keys import NotInitialized, SigningKeyUnusable
from services.auth.tokens import Signer, SigningKey


def test_what_was_made_can_be_read_by_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "keys" / "signing.pem"
    assert create_private(path, b"secret")
    assert (path.stat().st_mode & 0o777, path.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    assert read_private(path, "signing key") == b"secret"
    assert [entry.name for entry in path.parent.iterdir()] == ["signing.pem"]


def test_what_stands_is_never_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "key"
    assert create_private(path, b"first")
    assert not create_private(path, b"second")
    assert path.read_bytes() == b"first"


def test_a_missing_file_names_the_command_that_makes_it(tmp_path: Path) -> None:
    with pytest.raises(NotInitialized, match="run `convergence admin init`") as error:
        read_private(tmp_path / "none", "signing key")
    assert error.value.metadata == {"command": "convergence admin init"}


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644])
def test_a_file_that_others_may_use_is_refused_with_its_mode(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "key"
    create_private(path, b"x")
    path.chmod(mode)
    with pytest.raises(SigningKeyUnusable, match="chmod 600") as error:
        read_private(path, "signing key")
    assert error.value.metadata == {"path": str(path), "mode": f"{mode:04o}"}


def test_links_folders_and_pipes_are_refused(tmp_path: Path) -> None:
    create_private(tmp_path / "key", b"x")
    (tmp_path / "link").symlink_to(tmp_path / "key")
    os.mkfifo(tmp_path / "pipe", 0o600)
    for name in ("link", "pipe", "."):
        with pytest.raises(SigningKeyUnusable):
            read_private(tmp_path / name, "signing key")


async def test_a_signing_key_is_kept_once(tmp_path: Path) -> None:
    store = FileSigningKeyStore(tmp_path / "signing.pem")
    first, second = SigningKey.generate(), SigningKey.generate()
    assert await store.create(first.pem())
    assert not await store.create(second.pem())
    assert Signer.parse(await store.read()).key_id == first.key_id


async def test_only_the_shared_key_passes(tmp_path: Path) -> None:
    path = tmp_path / "orchestrator.key"
    create_private(path, b"s3cret\n")
    authority = SharedKeyAuthority(path)
    await authority.check("Bearer s3cret")
    with pytest.raises(CredentialMissing):
        await authority.check("")
    for wrong in ("Bearer other", "Bearer ", "s3cret", "Basic s3cret"):
        with pytest.raises(IdentityTokenInvalid) as error:
            await authority.check(wrong)
        assert "s3cret" not in str(error.value)


async def test_an_empty_shared_key_lets_nobody_in(tmp_path: Path) -> None:
    path = tmp_path / "orchestrator.key"
    create_private(path, b"\n")
    for shown in ("Bearer ", "Bearer \n"):
        with pytest.raises(IdentityTokenInvalid):
            await SharedKeyAuthority(path).check(shown)


async def test_without_the_file_nobody_can_tell(tmp_path: Path) -> None:
    with pytest.raises(FailedPrecondition, match="orchestrator's key"):
        await SharedKeyAuthority(tmp_path / "none").check("Bearer x")
