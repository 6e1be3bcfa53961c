"""Which BigQuery the checks run on: the embedded one, or Google's where `make cloud` says a project."""

from __future__ import annotations

import contextlib
import datetime as dt
import os
import uuid
from collections.abc import Iterator
from typing import Any, Final

import grpc
import pytest
from google.api_core.exceptions import NotFound
from google.auth.credentials import AnonymousCredentials
from google.cloud import bigquery
from google.cloud.bigquery_storage_v1 import BigQueryWriteClient
from google.cloud.bigquery_storage_v1.services.big_query_write.transports import (
    BigQueryWriteGrpcTransport,
)

from tests.cloud.scratch import LABEL, LIFETIME, SCRATCH, SECONDS, Scratch
from tests.support.engine import Engine

PROJECT: Final = os.environ.get("CHECK_PROJECT", "")
LOCATION: Final = os.environ.get("CHECK_LOCATION", "")
REAL: Final = bool(PROJECT)
"""Whether this is Google's own."""


def differs(why: str) -> pytest.MarkDecorator:
    """Mark a belief that the embedded BigQuery is known to break: one that holds there fails its test."""
    return pytest.mark.xfail(not REAL, reason=why, strict=True)


@contextlib.contextmanager
def embedded(engine: Engine, dataset: str = "") -> Iterator[Scratch]:
    """Yield a dataset of the embedded BigQuery, or the name of one that is not made or deleted here."""
    client = bigquery.Client(
        project=engine.project,
        location="US",
        credentials=AnonymousCredentials(),  # type: ignore[no-untyped-call]
        client_options={"api_endpoint": engine.rest},
    )
    transport = BigQueryWriteGrpcTransport(channel=grpc.insecure_channel(engine.grpc))
    writer = BigQueryWriteClient(transport=transport)  # type: ignore[no-untyped-call]
    with _open(client, writer, dataset) as at, contextlib.ExitStack() as stack:
        if not dataset:
            stack.enter_context(_made(at))
        yield at


@contextlib.contextmanager
def google(project: str, location: str) -> Iterator[Scratch]:
    """Yield a dataset of Google's BigQuery; delete it, and what earlier runs left of theirs."""
    with clients(project, location) as at:
        sweep(at.client)
        with _made(at):
            yield at


@contextlib.contextmanager
def clients(project: str, location: str, dataset: str = "") -> Iterator[Scratch]:
    """Yield clients of Google's BigQuery, and the name of a dataset that is not made or deleted here."""
    client = bigquery.Client(project=project, location=location)
    with _open(client, BigQueryWriteClient(), dataset) as at:  # type: ignore[no-untyped-call]
        yield at


def sweep(client: bigquery.Client) -> list[str]:
    """Delete what runs that were killed left behind longer than LIFETIME ago; return their names."""
    oldest, gone = dt.datetime.now(dt.UTC) - LIFETIME, []
    for listed in client.list_datasets(filter=f"labels.{LABEL}:{SCRATCH}", timeout=SECONDS):
        with contextlib.suppress(NotFound):
            found = client.get_dataset(listed.reference, timeout=SECONDS)
            if found.labels.get(LABEL) == SCRATCH and found.created < oldest:
                client.delete_dataset(found, delete_contents=True, timeout=SECONDS)
                gone.append(found.dataset_id)
    return gone


@contextlib.contextmanager
def _open(client: bigquery.Client, writer: BigQueryWriteClient, dataset: str) -> Iterator[Scratch]:
    name = dataset or f"convergence_check_{uuid.uuid4().hex[:12]}"
    try:
        yield Scratch(client=client, writer=writer, dataset=f"{client.project}.{name}")
    finally:
        client.close()  # type: ignore[no-untyped-call]
        writer.transport.close()  # type: ignore[no-untyped-call]


@contextlib.contextmanager
def _made(at: Scratch) -> Iterator[None]:
    """Make the dataset, whose tables expire by themselves, and delete it however the block ends."""
    made: Any = bigquery.Dataset(at.dataset)
    made.location, made.labels = at.client.location, {LABEL: SCRATCH}
    made.default_table_expiration_ms = int(LIFETIME.total_seconds() * 1000)
    at.client.create_dataset(made, timeout=SECONDS)
    try:
        yield
    finally:
        at.client.delete_dataset(made, delete_contents=True, not_found_ok=True, timeout=SECONDS)
