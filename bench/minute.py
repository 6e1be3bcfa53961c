"""A thousand tenants whose schedules fire in the same minute, on the real processes of a mesh.

Each tenant has a pipeline of some small files, one chunk each. Beside them some tenants call
CreateRun from a process of their own. What became of it all is read from the journal and from the
logs of the workers.
"""

import asyncio
import contextlib
import dataclasses
import datetime as dt
import json
import os
import shutil
import subprocess
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import yaml
from convergence.auth.v1.tenant_pb2 import Tenant

from bench.data import FOLDER
from bench.figures import Figure
from bench.machine import cpu_seconds
from bench.minute_figures import Begun, Placed, Seen, figures
from bench.runs import GROUPS, WrongRun
from libs.bigquery import jobs
from libs.bigquery.client import BigQuery, Connection, connect
from libs.client import AsyncClient
from libs.common.names import PLATFORM
from libs.local.demo import neighbours
from libs.local.mesh import lifecycle
from libs.local.mesh.plans import WORKERS
from libs.local.mesh.states import State

FILES: Final = 3
ROWS: Final = 2
PIPELINE: Final = "p_bill"
CALLERS: Final = 4
NEVER: Final = {"cron": "0 0 29 2 *", "overlap": "allow_all"}
"""Of pipelines that are called: so many runs of one may be live at once."""

CALL_PAUSE: Final = 2.0
LONGEST: Final = 1800.0


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What is measured: how many tenants, and the minute, which is far enough for them to be read."""

    tenants: int
    minute: dt.datetime

    @classmethod
    def of(cls, tenants: int, now: dt.datetime) -> "Wish":
        """Choose the minute: a start of the mesh, and a reading of so many tenants' files, before it."""
        ready = now + dt.timedelta(seconds=45 + tenants * 0.1)
        minute = ready.replace(second=0, microsecond=0) + dt.timedelta(minutes=1)
        return cls(tenants=tenants, minute=minute)

    @property
    def scheduled(self) -> list[str]:
        return [f"t{number:04}" for number in range(self.tenants)]

    @property
    def callers(self) -> list[str]:
        return [f"caller{number}" for number in range(CALLERS)]

    @property
    def cron(self) -> str:
        return f"{self.minute:%M %H %d %m} *"


def measured(tenants: int) -> list[Figure]:
    """Let the minute come; return what it showed."""
    wish = Wish.of(tenants, dt.datetime.now(dt.UTC))
    with _mesh(wish) as (state, keys):
        return figures(_seen(wish, state, keys))


@contextlib.contextmanager
def _mesh(wish: Wish) -> Iterator[tuple[State, dict[str, str]]]:
    """Start a mesh with all tenants; yield it, and the keys of those who call, by tenant."""
    folder = FOLDER / "meshes" / "minute"
    shutil.rmtree(folder, ignore_errors=True)
    place = lifecycle.Wish(folder=folder / "state", configs=folder / "configs", port=0)
    for tenant in wish.scheduled:
        _write(place.configs / tenant, schedule={"cron": wish.cron})
    for tenant in wish.callers:
        _write(place.configs / tenant, schedule=NEVER)
    state = lifecycle.start(place)
    try:
        platform = neighbours.initialise(state)
        with _warehouse(state) as bq:
            jobs.query(bq, _insert(wish.scheduled))
        yield state, asyncio.run(_callers(state, platform, wish))
    finally:
        lifecycle.stop(place.folder)
        shutil.rmtree(FOLDER / "logs" / "minute", ignore_errors=True)
        shutil.copytree(place.folder / "logs", FOLDER / "logs" / "minute")
        shutil.rmtree(folder, ignore_errors=True)


def _write(folder: Path, schedule: Mapping[str, str]) -> None:
    """Lay out a tenant whose pipeline reads some files of ROWS rows each."""
    data = folder / "data"
    data.mkdir(parents=True)
    for number in range(FILES):
        rows = "".join(f"e{number}_{row},{number}.25\n" for row in range(ROWS))
        (data / f"{number}.csv").write_text(f"event_id,cost\n{rows}")
    columns = [
        {"name": "event_id", "type": "STRING", "mode": "NULLABLE"},
        {"name": "cost", "type": "NUMERIC", "mode": "NULLABLE"},
    ]
    source = {"kind": "file", "options": {"path": "data/*.csv", "format": "csv"}}
    pipeline: dict[str, object] = {
        "source": "bill",
        "schema": "bill",
        "target": {"dataset": "raw", "table": "bill"},
        "write": {"mode": "append"},
        "schedule": dict(schedule),
    }
    for name, text in (
        ("schemas/bill.json", json.dumps(columns)),
        ("sources/bill.yml", yaml.safe_dump(source)),
        (f"pipelines/{PIPELINE}.yml", yaml.safe_dump(pipeline)),
    ):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)


def _insert(tenants: Sequence[str]) -> str:
    rows = ", ".join(f"'{tenant}'" for tenant in tenants)
    return (
        "INSERT INTO metadata.tenants (tenant_id, display_name, state, create_time, update_time)"
        " SELECT tenant, tenant, 'active', CURRENT_TIMESTAMP(), CURRENT_TIMESTAMP()"
        f" FROM UNNEST([{rows}]) AS tenant"
    )


async def _callers(state: State, platform_key: str, wish: Wish) -> dict[str, str]:
    keys = {PLATFORM: platform_key}
    async with AsyncClient(state.addresses()["edge"], platform_key) as platform:
        for tenant in wish.callers:
            await platform.tenants.create(tenant, Tenant(display_name=tenant))
            made = await platform.keys.create(f"tenants/{tenant}", description="bench")
            keys[tenant] = made.secret
    return keys


def _warehouse(state: State) -> BigQuery:
    known = state.addresses()
    return connect(
        Connection("local", "US", f"http://{known['bigquery_rest']}", known["bigquery_grpc"])
    )


def _seen(wish: Wish, state: State, keys: Mapping[str, str]) -> Seen:
    with _warehouse(state) as bq:
        _wait(bq, "schedule.set", wish.tenants, until=wish.minute.timestamp())
        time.sleep(max(wish.minute.timestamp() - time.time() - 5, 0))
        before, (load, _, _) = _cpu(state), os.getloadavg()
        caller = subprocess.Popen(
            [sys.executable, "-P", "-m", "bench.calling"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert caller.stdin is not None, "it is piped"
        told = {
            "address": state.addresses()["orchestrator"],
            "keys": {tenant: key for tenant, key in keys.items() if tenant != PLATFORM},
            "pause": CALL_PAUSE,
        }
        caller.stdin.write(json.dumps(told) + "\n")
        caller.stdin.flush()
        try:
            _wait(bq, "run.succeeded", wish.tenants, until=time.time() + LONGEST, beside=caller)
        finally:
            said, _ = caller.communicate()
        used = {group: seconds - before[group] for group, seconds in _cpu(state).items()}
        return _told(wish, bq, state, calls=json.loads(said), cpu=used, load=load)


def _wait(
    bq: BigQuery,
    what: str,
    count: int,
    *,
    until: float,
    beside: subprocess.Popen[str] | None = None,
) -> None:
    """Wait until the journal has so many records of a type about scheduled pipelines."""
    statement = (
        f"SELECT COUNT(*) AS found FROM metadata.run_events WHERE event_type = '{what}'"
        " AND STARTS_WITH(tenant_id, 't')"
    )
    while (found := int(str(jobs.query(bq, statement)[0]["found"]))) < count:
        if time.time() > until:
            raise WrongRun(f"{found} of {count} records {what} in time")
        if beside and beside.poll() is not None:
            raise WrongRun("those who call ended early")
        time.sleep(2)


def _told(
    wish: Wish,
    bq: BigQuery,
    state: State,
    *,
    calls: Sequence[tuple[float, float]],
    cpu: Mapping[str, float],
    load: float,
) -> Seen:
    rows = jobs.query(
        bq,
        "SELECT tenant_id, run_id, event_type, event_time,"
        " CAST(JSON_VALUE(payload, '$.landed.landed_row_count') AS INT64) AS landed"
        " FROM metadata.run_events WHERE run_id IS NOT NULL AND STARTS_WITH(tenant_id, 't')",
    )
    ended = dict[str, float]()
    chunks, landed = Counter[str](), Counter[str]()
    for row in rows:
        run, kind, at = str(row["run_id"]), str(row["event_type"]), row["event_time"]
        assert isinstance(at, dt.datetime)
        if kind == "run.succeeded":
            ended[run] = at.timestamp()
        if kind == "chunk.completed":
            chunks[run] += 1
            landed[run] += int(str(row["landed"]))
    first, last = wish.minute.timestamp(), max(ended.values())
    return Seen(
        tenants=wish.tenants,
        rows_each=FILES * ROWS,
        minute=first,
        ended=ended,
        chunks=chunks,
        rows=landed,
        begun=_begun(state),
        placed=_placed(state),
        calls=[(at, seconds) for at, seconds in calls if first <= at <= last],
        cpu=cpu,
        load=load,
    )


def _begun(state: State) -> list[Begun]:
    """Return the chunks that workers were given, as their logs tell when each call ended and how long it was."""
    found = []
    for worker in WORKERS:
        for told in _lines(state, worker, '"rpc.done"'):
            if told["method"].endswith("/IngestChunk"):
                ended = dt.datetime.fromisoformat(told["time"]).timestamp()
                at = ended - float(told["duration_ms"]) / 1000
                found.append(Begun(tenant=told["tenant_id"], run=told["run_id"], at=at))
    return found


def _placed(state: State) -> list[Placed]:
    """Return the slots that the orchestrator's log says it has given."""
    return [
        Placed(
            tenant=told["tenant_id"],
            run=told["run_id"],
            came=told["came"],
            turn=told["turn"],
            waited=told["waited_ms"] / 1000,
        )
        for told in _lines(state, "orchestrator", '"chunk.placed"')
    ]


def _lines(state: State, process: str, event: str) -> Iterator[dict[str, Any]]:
    """Yield the lines of a process's log that are about an event."""
    for line in Path(state.process(process).log).read_text().splitlines():
        if event in line:
            yield json.loads(line)


def _cpu(state: State) -> dict[str, float]:
    used: defaultdict[str, float] = defaultdict(float)
    for process in state.processes:
        if process.identity:
            group = GROUPS.get(process.name, process.name)
            used[group] += cpu_seconds(process.identity.pid)
    return used
