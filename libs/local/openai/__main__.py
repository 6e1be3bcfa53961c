"""Runs the local OpenAI server until SIGTERM."""

import argparse
import asyncio
import contextlib
import signal

from libs.local.openai.server import serve


async def main(port: int, host: str) -> None:
    """Serve until the process is told to end."""
    task = asyncio.ensure_future(serve(port, host))
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        await task


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="0 lets the kernel choose")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen at")
    given = parser.parse_args()
    asyncio.run(main(given.port, given.host))
