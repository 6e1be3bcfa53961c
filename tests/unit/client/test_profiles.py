"""Where the command line finds address, key and tenant."""

from pathlib import Path

import pytest

from libs.client.cli.profiles import Profile, ProfileUnusable, resolve

TEXT = """
default = "laptop"
[profiles.laptop]
address = "localhost:50051"
api_key = "cvg_acme_corp_secret"
[profiles.cloud]
address = "https://convergence.example.com"
api_key_file = "cloud.key"
tenant = "widgetsinc"
"""


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    file = tmp_path / "profiles.toml"
    file.write_text(TEXT)
    file.chmod(0o600)
    key = tmp_path / "cloud.key"
    key.write_text("cloud key\n")
    key.chmod(0o600)
    return {"CONVERGENCE_PROFILES": str(file)}


def test_without_anything_the_local_mesh_is_meant(tmp_path: Path) -> None:
    nowhere = {"CONVERGENCE_PROFILES": str(tmp_path / "none.toml")}
    assert resolve(nowhere) == Profile(address="localhost:50051", api_key="", tenant="")


def test_the_environment_wins_over_the_default_profile(environment: dict[str, str]) -> None:
    environment["CONVERGENCE_ADDRESS"] = "localhost:1"
    found = resolve(environment)
    assert (found.address, found.api_key) == ("localhost:1", "cvg_acme_corp_secret")


def test_a_profile_that_is_named_wins_over_the_environment(environment: dict[str, str]) -> None:
    environment |= {"CONVERGENCE_ADDRESS": "localhost:1", "CONVERGENCE_API_KEY": "other"}
    assert resolve(environment, profile="cloud") == Profile(
        address="https://convergence.example.com", api_key="cloud key", tenant="widgetsinc"
    )


def test_options_win_over_everything(environment: dict[str, str]) -> None:
    found = resolve(environment, profile="cloud", address="localhost:9", tenant="acme_corp")
    assert (found.address, found.tenant) == ("localhost:9", "acme_corp")


@pytest.mark.parametrize(
    ("key", "tenant"),
    [
        ("cvg_acme_corp_abc", "acme_corp"),
        ("cvg_platform_abc", ""),
        ("seed key of hand_made", ""),
        ("cvg_", ""),
    ],
)
def test_a_key_names_its_tenant_by_default(tmp_path: Path, key: str, tenant: str) -> None:
    given = {"CONVERGENCE_PROFILES": str(tmp_path / "none"), "CONVERGENCE_API_KEY": key}
    assert resolve(given).tenant == tenant


def test_a_key_that_others_can_read_is_refused(environment: dict[str, str]) -> None:
    Path(environment["CONVERGENCE_PROFILES"]).chmod(0o644)
    with pytest.raises(ProfileUnusable, match="chmod 600"):
        resolve(environment)


def test_an_unknown_profile_is_refused_with_those_known(environment: dict[str, str]) -> None:
    with pytest.raises(ProfileUnusable, match="it has cloud, laptop"):
        resolve(environment, profile="clowd")


def test_an_unknown_field_is_refused_with_those_allowed(environment: dict[str, str]) -> None:
    file = Path(environment["CONVERGENCE_PROFILES"])
    file.write_text('default = "x"\n[profiles.x]\naddres = "y"\n')
    with pytest.raises(
        ProfileUnusable, match=r"profiles\.x\.addres is 'y'; allowed are texts addr"
    ):
        resolve(environment)


def test_a_profile_does_not_show_its_key(environment: dict[str, str]) -> None:
    assert "secret" not in repr(resolve(environment))
