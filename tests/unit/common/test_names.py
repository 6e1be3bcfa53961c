"""Resource names: what is one, what is none, and whose it is."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.common.names import (
    ID,
    TENANT_ID,
    ApiKeyName,
    PipelineName,
    RunName,
    TenantName,
    tenant_of,
)

NAMES: dict[str, Any] = {
    "tenants/acme_corp": TenantName("acme_corp"),
    "tenants/acme/pipelines/p_daily": PipelineName("acme", "p_daily"),
    "tenants/acme/pipelines/p/runs/r1": RunName("acme", "p", "r1"),
    "tenants/acme/apiKeys/k1": ApiKeyName("acme", "k1"),
    "tenants/-/apiKeys/k1": ApiKeyName("-", "k1"),
}
KINDS = (TenantName, PipelineName, RunName, ApiKeyName)
ids = st.from_regex(ID, fullmatch=True)
tenants = st.from_regex(TENANT_ID, fullmatch=True)


@pytest.mark.parametrize("text", NAMES)
def test_a_name_is_read_and_written_the_same(text: str) -> None:
    name = NAMES[text].parse(text)
    assert name == NAMES[text]
    assert str(name) == text


@given(tenants, ids, ids)
def test_every_run_has_a_name_of_its_own(tenant: str, pipeline: str, run: str) -> None:
    name = RunName(tenant, pipeline, run)
    assert RunName.parse(str(name)) == name
    assert name.parent.run(run) == name
    assert tenant_of(str(name)) == tenant


@pytest.mark.parametrize(
    "text",
    [
        "",
        "acme",
        "tenants",
        "tenants/",
        "/tenants/acme",
        "tenants/acme/",
        "tenants//acme",
        "Tenants/acme",
        "tenants/acme/pipelines",
        "tenants/acme/runs/p",
        "tenants/acme/pipelines/p/runs/r/more/x",
        "tenants/acme ",
        "tenants/acme\n",
    ],
    ids=repr,
)
@pytest.mark.parametrize("kind", KINDS)
def test_what_has_another_form_is_no_name(kind: type[TenantName], text: str) -> None:
    with pytest.raises(ValueError, match="allowed is"):
        kind.parse(text)


@pytest.mark.parametrize(
    "tenant",
    ["a", "Acme", "1acme", "_acme", "acme-corp", "acme.corp", "a" * 64, "-", "äcme", "..", "a\n"],
    ids=repr,
)
def test_what_is_no_tenant_is_named_with_what_is_allowed(tenant: str) -> None:
    with pytest.raises(ValueError, match=r"tenant is .*allowed is") as error:
        TenantName.parse(f"tenants/{tenant}")
    assert repr(tenant) in str(error.value)
    with pytest.raises(ValueError, match=r"tenant is .*allowed is"):
        RunName.parse(f"tenants/{tenant}/pipelines/p/runs/r")


@pytest.mark.parametrize("id_", ["", "P", "p-1", "p.1", "p" * 64, "1p", "p\n"], ids=repr)
def test_what_is_no_id_is_named_with_what_is_allowed(id_: str) -> None:
    with pytest.raises(ValueError, match=r"pipeline is .*allowed is"):
        PipelineName.parse(f"tenants/acme/pipelines/{id_}")
    with pytest.raises(ValueError, match=r"run is .*allowed is"):
        RunName.parse(f"tenants/acme/pipelines/p/runs/{id_}")
    with pytest.raises(ValueError, match=r"key is .*allowed is"):
        ApiKeyName.parse(f"tenants/acme/apiKeys/{id_}")


@pytest.mark.parametrize(
    ("name", "tenant"),
    [
        ("tenants/acme", "acme"),
        ("tenants/acme/pipelines/p", "acme"),
        ("tenants/acme/anything/at/all", "acme"),
        ("tenants/-", "-"),
        ("tenants/-/apiKeys/k", "-"),
        ("tenants/Acme", None),
        ("tenants/", None),
        ("tenants", None),
        ("", None),
        ("other/acme", None),
        ("tenants/acme\n", None),
        ("/tenants/acme", None),
    ],
)
def test_a_names_tenant_is_what_it_begins_with(name: str, tenant: str | None) -> None:
    assert tenant_of(name) == tenant


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("text", NAMES)
def test_what_parses_belongs_to_the_tenant_that_is_compared(
    text: str, kind: type[TenantName]
) -> None:
    try:
        name = kind.parse(text)
    except ValueError:
        return
    assert tenant_of(text) == name.tenant
