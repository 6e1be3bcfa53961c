"""`convergence tenants`, `keys` and `pipelines` against an edge in this process."""

import asyncio
from pathlib import Path

import pytest
from convergence.auth.v1.api_key_pb2 import ApiKey
from convergence.auth.v1.tenant_pb2 import Tenant, TenantLimits
from convergence.orchestrator.v1.pipeline_pb2 import FileError

from libs.client import AsyncClient
from tests.integration.client.commands import Command, against
from tests.support.fake_edge import SECRET, FakeKeys, FakePipelines, FakeTenants, serving


async def _acme(tenants: FakeTenants, display_name: str = "") -> None:
    async with serving(tenants=tenants) as address, AsyncClient(address) as client:
        await client.tenants.create("acme_corp", Tenant(display_name=display_name))


async def test_a_tenant_is_created_with_files_and_one_key_however_often_it_is_asked_for(
    command: Command, tmp_path: Path
) -> None:
    tenants, keys = FakeTenants(), FakeKeys()
    asked = ("tenants", "create", "acme_corp", "--configs", str(tmp_path), "--output", "json")
    async with serving(tenants=tenants, keys=keys) as address:
        first = await asyncio.to_thread(command, *asked, address=address)
        second = await asyncio.to_thread(command, *asked, address=address)
    assert (first.status, second.status, len(keys.created)) == (0, 0, 1)
    assert first.json["secret"] == SECRET
    assert (second.json["secret"], second.json["files"]) == (None, [])
    assert (tmp_path / "acme_corp" / "README.md").is_file()


async def test_a_new_tenant_is_shown_with_its_folder_and_its_key(
    command: Command, tmp_path: Path
) -> None:
    said = await against(command, "tenants", "create", "acme_corp", "--configs", str(tmp_path))
    assert said.out.splitlines() == [
        "tenants/acme_corp is ACTIVE",
        f"7 files in {tmp_path}/acme_corp; its README.md says what goes where",
        "key tenants/acme_corp/apiKeys/k0, shown this once:",
        "",
        f"  export CONVERGENCE_API_KEY={SECRET}",
        "",
    ]


async def test_creating_again_without_options_keeps_what_the_tenant_has(
    command: Command, tmp_path: Path
) -> None:
    tenants = FakeTenants()
    await _acme(tenants, display_name="Acme Corp")
    asked = ("tenants", "create", "acme_corp", "--configs", str(tmp_path))
    said = await against(command, *asked, tenants=tenants)
    assert said.status == 0
    same = await against(command, *asked, "--display-name", "Acme Corp", tenants=tenants)
    assert same.status == 0
    other = await against(command, *asked, "--display-name", "Other", tenants=tenants)
    assert other.status == 2
    assert "(TENANT_EXISTS)" in other.err
    assert tenants.created["acme_corp"].display_name == "Acme Corp"


async def test_what_a_tenant_may_read_is_said_when_it_is_made_and_changed_later(
    command: Command, tmp_path: Path
) -> None:
    tenants = FakeTenants()
    made = ("tenants", "create", "acme_corp", "--no-files", "--may-read", "s3://b/", "--may-read",
            "gs://a/", "--service-account", "x@p.iam.gserviceaccount.com")  # fmt: skip
    for _ in range(2):
        assert (await against(command, *made, tenants=tenants)).status == 0
    acme = tenants.created["acme_corp"]
    assert (list(acme.source_prefixes), acme.service_account) == (
        ["gs://a/", "s3://b/"], "x@p.iam.gserviceaccount.com",
    )  # fmt: skip
    update = ("tenants", "update", "acme_corp")
    said = await against(command, *update, "--may-read", "gs://c/", tenants=tenants)
    assert (said.status, list(acme.source_prefixes)) == (0, ["gs://c/"])
    assert "gs://c/" in said.out
    assert acme.service_account
    said = await against(
        command, *update, "--read-nothing", "--service-account", "", tenants=tenants
    )
    assert (said.status, list(acme.source_prefixes), acme.service_account) == (0, [], "")
    both = await against(command, *update, "--read-nothing", "--may-read", "gs://c/")
    nothing = await against(command, *update)
    assert (both.status, nothing.status) == (2, 2)
    assert "nothing to change" in nothing.err


async def test_limits_are_said_when_a_tenant_is_made_and_changed_one_by_one(
    command: Command,
) -> None:
    tenants = FakeTenants()
    made = ("tenants", "create", "acme_corp", "--no-files", "--live-runs", "3", "--chunks", "8")
    assert (await against(command, *made, tenants=tenants)).status == 0
    update = ("tenants", "update", "acme_corp", "--slot-weight")
    said = await against(command, *update, "2.5", tenants=tenants)
    assert "limits  3 live runs, 2.5 slot weight, 8 chunks at once" in said.out.splitlines()
    limits = tenants.created["acme_corp"].limits
    assert limits == TenantLimits(live_run_count=3, slot_weight=2.5, chunk_count=8)
    await against(command, *update, "0", "--chunks", "0", tenants=tenants)
    assert tenants.created["acme_corp"].limits == TenantLimits(live_run_count=3)
    assert tenants.masks == [["limits.slot_weight"], ["limits.slot_weight", "limits.chunk_count"]]
    wrong = await against(command, *update, "-1", tenants=tenants)
    assert wrong.status == 2


async def test_tenants_are_listed_by_the_ids_that_other_commands_take(command: Command) -> None:
    tenants = FakeTenants()
    await _acme(tenants, display_name="Acme Corp")
    said = await against(command, "tenants", "list", tenants=tenants)
    assert said.out.splitlines()[1].startswith("acme_corp  Acme Corp     ACTIVE")
    none = await against(command, "tenants", "list")
    assert (none.status, none.out) == (0, "")
    assert "tenants create" in none.err


@pytest.mark.parametrize(("verb", "state"), [("suspend", "SUSPENDED"), ("resume", "ACTIVE")])
async def test_a_tenant_is_shown_in_the_state_that_it_was_put_into(
    command: Command, verb: str, state: str
) -> None:
    tenants = FakeTenants()
    await _acme(tenants, display_name="Acme Corp")
    said = await against(command, "tenants", verb, "acme_corp", tenants=tenants)
    assert f"state         {state}" in said.out.splitlines()
    assert "display name  Acme Corp" in said.out.splitlines()


@pytest.mark.parametrize(
    ("answer", "status", "said"),
    [
        ("n\n", 1, "error: nothing was changed (NOT_CONFIRMED)"),
        ("", 2, "nobody answers here; give --yes"),
    ],
    ids=["no", "nobody"],
)
async def test_a_tenant_is_deleted_only_by_a_yes(
    command: Command, monkeypatch: pytest.MonkeyPatch, answer: str, status: int, said: str
) -> None:
    tenants = FakeTenants()
    await _acme(tenants)
    monkeypatch.setattr("click.termui.visible_prompt_func", lambda _: _answered(answer))
    refused = await against(command, "tenants", "delete", "acme_corp", tenants=tenants)
    assert refused.status == status
    assert said in refused.err
    kept = await against(command, "tenants", "get", "acme_corp", tenants=tenants)
    assert "state   ACTIVE" in kept.out.splitlines()


def _answered(answer: str) -> str:
    if not answer:
        raise EOFError
    return answer.strip()


async def test_a_yes_given_before_deletes_and_leaves_a_tombstone(command: Command) -> None:
    tenants = FakeTenants()
    await _acme(tenants)
    said = await against(command, "tenants", "delete", "acme_corp", "--yes", tenants=tenants)
    assert "state   DELETED" in said.out.splitlines()
    listed = await against(command, "tenants", "list", tenants=tenants)
    assert listed.out == ""
    tombs = await against(command, "tenants", "list", "--deleted", tenants=tenants)
    assert "acme_corp" in tombs.out


async def test_a_key_is_shown_once_with_what_it_may_do(command: Command) -> None:
    keys = FakeKeys()
    asked = ("keys", "create", "--scope", "runs:read", "--expires-in", "30d", "--description", "d")
    said = await against(command, *asked, keys=keys)
    assert said.out.splitlines() == [
        "key tenants/acme_corp/apiKeys/k0 (runs:read), shown this once:",
        "",
        f"  export CONVERGENCE_API_KEY={SECRET}",
        "",
    ]
    assert keys.requests[0].api_key.description == "d"
    assert keys.requests[0].api_key.HasField("expire_time")


async def test_keys_of_the_platform_belong_to_no_tenant(command: Command) -> None:
    keys = FakeKeys()
    await against(command, "keys", "create", "--platform", keys=keys)
    await against(command, "keys", "list", "--platform", keys=keys)
    assert [request.parent for request in keys.requests] == ["tenants/-", "tenants/-"]


async def test_keys_are_listed_in_full_and_without_secrets(command: Command) -> None:
    keys = FakeKeys()
    keys.created.append(
        ApiKey(
            name="tenants/acme_corp/apiKeys/kt4ckgh59k4tt",
            description="a nightly job with a long description",
            scopes=["pipelines:read", "runs:read", "runs:write", "tenant:admin"],
            active=True,
        )
    )
    said = await against(command, "keys", "list", keys=keys)
    (row,) = said.out.splitlines()[1:]
    for part in (
        "tenants/acme_corp/apiKeys/kt4ckgh59k4tt",
        "a nightly job with a long description",
        "pipelines:read, runs:read, runs:write, tenant:admin",
        "never",
    ):
        assert part in row
    assert SECRET not in said.out


async def test_a_rotation_says_when_the_old_key_ends(command: Command) -> None:
    keys = FakeKeys()
    keys.created.append(ApiKey(name="tenants/acme_corp/apiKeys/k0", active=True))
    said = await against(command, "keys", "rotate", "k0", "--overlap", "2h", keys=keys)
    assert said.out.splitlines()[-1] == "tenants/acme_corp/apiKeys/k0 ends 2026-11-25 00:00:00Z"
    assert keys.requests[0].overlap.seconds == 7200


async def test_a_key_is_revoked_by_its_short_or_its_full_name(command: Command) -> None:
    keys = FakeKeys()
    name = "tenants/acme_corp/apiKeys/k0"
    for given in ("k0", name):
        keys.created[:] = [ApiKey(name=name, active=True)]
        said = await against(command, "keys", "revoke", given, keys=keys)
        assert said.out == f"{name} is revoked; every service refuses it within a minute\n"
        assert not keys.created[0].active
    missing = await against(command, "keys", "revoke", "k9", keys=keys)
    assert (missing.status, "(API_KEY_NOT_FOUND)" in missing.err) == (2, True)


async def test_pipelines_are_listed_with_what_is_wrong_with_their_files(command: Command) -> None:
    said = await against(command, "pipelines", "list")
    assert said.out.splitlines()[1].split() == [
        "p_focus_billing",
        "file",
        "acme_corp_raw_focus.bills",
        "append",
        "ok",
    ]
    broken = FakePipelines(FileError(file="p.yml", field="write", found="x"))
    wrong = await against(command, "pipelines", "list", pipelines=broken)
    assert wrong.out.splitlines()[1].endswith("1 error")


async def test_a_pipeline_shows_what_is_in_use_and_what_is_wrong_with_the_edit(
    command: Command,
) -> None:
    broken = FakePipelines(FileError(file="acme_corp/p.yml", line=3, field="write", found="'x'"))
    said = await against(command, "pipelines", "get", "p_focus_billing", pipelines=broken)
    assert "target    acme_corp_raw_focus.bills" in said.out.splitlines()
    assert said.out.splitlines()[-3:] == [
        "the latest edit has 1 error; what is shown stays in use",
        "acme_corp/p.yml:3: write",
        "  found: 'x'",
    ]


async def test_a_plan_says_what_would_be_read_and_written(command: Command) -> None:
    said = await against(command, "pipelines", "plan", "p_focus_billing")
    assert said.out.splitlines() == [
        "replaces           _source: bills/focus_sample.csv",
        "target             acme_corp_raw_focus.bills",
        "chunks             1",
        "bytes              about 2,531,007",
        "reads              bills/focus_sample.csv",
        "not in the schema  x_unknown",
    ]
