"""Settings are read once from the environment; what nobody reads or understands stops the start."""

import os
from pathlib import Path

import pydantic
import pytest
from pydantic_settings import SettingsConfigDict

from libs.common.settings import ServiceSettings
from services.auth.app import Settings as AuthSettings
from services.ingest.app import Settings as IngestSettings
from services.orchestrator.app import Settings as OrchestratorSettings
from services.quality.app import Settings as QualitySettings

SERVICES: dict[str, type[ServiceSettings]] = {
    "AUTH": AuthSettings,
    "INGEST": IngestSettings,
    "ORCHESTRATOR": OrchestratorSettings,
    "QUALITY": QualitySettings,
}


class Settings(ServiceSettings):
    """Settings of a service for tests."""

    model_config = SettingsConfigDict(frozen=True, env_prefix="CONVERGENCE_TRIAL_")

    slots: int = 2
    folder: Path = Path("configs")
    allow: bool = False


@pytest.fixture(autouse=True)
def _no_settings_of_the_shell(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.upper().startswith("CONVERGENCE_")]:
        monkeypatch.delenv(name)


def refused(kind: type[ServiceSettings] = Settings) -> str:
    """Return the sentence that ends the process."""
    with pytest.raises(SystemExit) as ended:
        kind.load()
    assert isinstance(ended.value.code, str)
    return ended.value.code


def test_a_variable_sets_its_field(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONVERGENCE_TRIAL_SLOTS", "7")
    monkeypatch.setenv("CONVERGENCE_TRIAL_LISTEN", "[::]:50051")
    monkeypatch.setenv("CONVERGENCE_TRIAL_ALLOW", "true")
    found = Settings.load()
    assert (found.slots, found.listen, found.allow) == (7, "[::]:50051", True)
    assert found.folder == Path("configs")


@pytest.mark.parametrize("service", SERVICES)
def test_an_unknown_setting_stops_the_service_by_name(
    service: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"CONVERGENCE_{service}_DRAIN_SECOND", "1")
    assert refused(SERVICES[service]) == (
        f"CONVERGENCE_{service}_*: no such setting CONVERGENCE_{service}_DRAIN_SECOND; "
        f"did you mean CONVERGENCE_{service}_DRAIN_SECONDS?"
    )


def test_every_unknown_setting_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONVERGENCE_TRIAL_SLOT", "1")
    monkeypatch.setenv("CONVERGENCE_TRIAL_XYZZY", "1")
    said = refused()
    assert "CONVERGENCE_TRIAL_SLOT; did you mean CONVERGENCE_TRIAL_SLOTS?" in said
    assert "CONVERGENCE_TRIAL_XYZZY; known are CONVERGENCE_TRIAL_ADMIN_LISTEN, " in said


def test_an_unknown_setting_in_small_letters_stops_the_start_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("convergence_trial_slot", "1")
    assert "no such setting convergence_trial_slot" in refused()


@pytest.mark.parametrize("service", SERVICES)
def test_the_variables_of_clients_and_of_other_services_stop_nothing(
    service: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("CONVERGENCE_API_KEY", "CONVERGENCE_ADDRESS", "CONVERGENCE_PROFILE"):
        monkeypatch.setenv(name, "x")
    for other in set(SERVICES) - {service}:
        monkeypatch.setenv(f"CONVERGENCE_{other}_XYZZY", "x")
    assert SERVICES[service].load() == SERVICES[service]()


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("SLOTS", "two", "found 'two'; input should be a valid integer"),
        ("SLOTS", "", "found ''; input should be a valid integer"),
        ("ALLOW", "maybe", "found 'maybe'; input should be a valid boolean"),
        ("DRAIN_SECONDS", "-1", "found '-1'; input should be greater than or equal to 0"),
        ("GRACE_SECONDS", "soon", "found 'soon'; input should be a valid number"),
        ("LISTEN", "50051", "found '50051'; allowed is host:port"),
        ("LISTEN", "[::]:66000", "found '[::]:66000'; allowed is host:port"),
        ("ADMIN_LISTEN", "127.0.0.1:http", "found '127.0.0.1:http'; allowed is host:port"),
        ("LOG_LEVEL", "loud", "found 'loud'; allowed are DEBUG, INFO, WARNING, ERROR, CRITICAL"),
    ],
)
def test_a_bad_value_stops_the_start_with_variable_found_and_allowed(
    field: str, value: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"CONVERGENCE_TRIAL_{field}", value)
    assert refused().startswith(f"CONVERGENCE_TRIAL_*: CONVERGENCE_TRIAL_{field}: {said}")


def test_every_bad_value_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONVERGENCE_TRIAL_SLOTS", "two")
    monkeypatch.setenv("CONVERGENCE_TRIAL_LISTEN", "here")
    said = refused()
    assert "CONVERGENCE_TRIAL_SLOTS: found 'two'" in said
    assert "CONVERGENCE_TRIAL_LISTEN: found 'here'" in said


@pytest.mark.parametrize(
    ("service", "field", "value"),
    [
        ("AUTH", "SIGNING_KEY", "signing_key.pem"),
        ("AUTH", "REFRESH_SECONDS", "60"),
        ("AUTH", "TRUSTED_PROXIES", "everybody"),
        ("INGEST", "SLOTS", "-1"),
        ("INGEST", "REQUEST_BYTES", "1000"),
        ("INGEST", "REQUEST_BYTES", "10000000"),
        ("ORCHESTRATOR", "CALLS_PER_SECOND", "0"),
    ],
)
def test_a_value_that_a_service_could_not_keep_to_stops_its_start(
    service: str, field: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"CONVERGENCE_{service}_{field}", value)
    said = refused(SERVICES[service])
    assert said.startswith(f"CONVERGENCE_{service}_*: CONVERGENCE_{service}_{field}: ")
    assert repr(value) in said


@pytest.mark.parametrize("service", SERVICES)
def test_settings_do_not_change(service: str) -> None:
    settings = SERVICES[service]()
    with pytest.raises(pydantic.ValidationError, match="frozen"):
        settings.listen = "127.0.0.1:1"


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_has_twenty_settings_at_most(service: str) -> None:
    assert len(SERVICES[service].model_fields) <= 20


def test_connections_to_the_orchestrator_alone_have_an_age_and_it_is_no_setting() -> None:
    ages = {service: kind.connection_seconds for service, kind in SERVICES.items()}
    assert ages == {"AUTH": None, "INGEST": None, "ORCHESTRATOR": 5.0, "QUALITY": None}
    assert "connection_seconds" not in OrchestratorSettings.model_fields
