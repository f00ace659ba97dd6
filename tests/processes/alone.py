"""A standalone node as a process, started as anyone would start it."""

import asyncio
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx

from health_exchange.cli.demo.network import HOST

WITHIN_S = 60.0


def free_port() -> int:
    """A port that the system gives, so that tests beside each other do not choose the same."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


@asynccontextmanager
async def started(folder: Path, port: int, *words: str) -> AsyncIterator["asyncio.subprocess.Process"]:
    """``node run --standalone`` until it is ready; Ctrl-C at the end, which it must take well."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "health_exchange", "node", "run", "--standalone", "--dir", str(folder)),
        *("--port", str(port), *words),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    try:
        async with httpx.AsyncClient(trust_env=False) as http, asyncio.timeout(WITHIN_S):
            while True:
                assert process.returncode is None
                try:
                    if (await http.get(f"http://{HOST}:{port}/health/ready")).json()["status"] == "ready":
                        break
                except httpx.HTTPError:
                    pass
                await asyncio.sleep(0.1)
        yield process
        process.send_signal(signal.SIGINT)
        assert await asyncio.wait_for(process.wait(), 15) == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
