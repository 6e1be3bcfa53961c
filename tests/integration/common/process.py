"""A service of its own process for tests: `python -m tests.integration.common.process`."""

import asyncio
import contextlib
import logging
import sys
from collections.abc import AsyncGenerator
from typing import Any, Final

import grpc
import structlog
from convergence.orchestrator.v1.run_service_pb2 import GetRunRequest
from pydantic_settings import SettingsConfigDict

from libs.common import errors
from libs.common.app import Host, serve
from libs.common.secrets import SecretText
from libs.common.settings import ServiceSettings

SERVICE: Final = "convergence.orchestrator.v1.RunService"
SECRET: Final = "sk-admin-Zw9"
log = structlog.get_logger()


class Settings(ServiceSettings):
    """Settings of the service for tests."""

    model_config = SettingsConfigDict(frozen=True, env_prefix="CONVERGENCE_TRIAL_")

    loop: str = "runs"
    """What the background loop does: `runs`, `crashes` or `ends`, once it is told to."""


@contextlib.asynccontextmanager
async def attach(host: Host, settings: Settings) -> AsyncGenerator[None]:
    """Register a method that does what the last part of the name says."""
    go = asyncio.Event()

    async def loop() -> None:
        await go.wait()
        if settings.loop == "crashes":
            raise ValueError("the loop broke")

    async def act(request: GetRunRequest, context: Any) -> GetRunRequest:
        del context
        match request.name.rpartition("/")[2]:
            case "go":
                go.set()
            case "unready":
                await host.set_ready(False)
            case "crash":
                raise ValueError("two\nlines")
            case "missing":
                raise errors.NotFound("no such run", reason="RUN_NOT_FOUND", name=request.name)
            case "log":
                log.info("run.moved", key=SecretText(SECRET))
            case "library":
                logging.getLogger("some.library").warning("odd: %s", {"a": 1})
            case "switch":
                return GetRunRequest(name=str(sys.getswitchinterval()))
            case "wait":
                log.info("call.waiting")
                await asyncio.sleep(1.0)
            case "forever":
                log.info("call.waiting")
                await asyncio.Event().wait()
        return request

    method = grpc.unary_unary_rpc_method_handler(
        act,
        request_deserializer=GetRunRequest.FromString,
        response_serializer=GetRunRequest.SerializeToString,
    )
    handler = grpc.method_handlers_generic_handler(SERVICE, {"GetRun": method})
    host.server.add_generic_rpc_handlers((handler,))
    host.describe([SERVICE])
    host.background(loop(), "trial-loop")
    try:
        yield
    finally:
        log.info("attach.ended")


if __name__ == "__main__":
    serve("trial", Settings.load(), attach)
