"""The network in containers, as ``make up`` starts it, under a name and a port of its own."""

import os
import shutil
import socket
import ssl
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import msgspec
from tests.requirements import missing

from health_exchange.node.network import NetworkStatus

TREE = Path(__file__).parents[2]
PROJECT = f"health_exchange_test_{os.getpid()}"
BUILD_WITHIN_S = 600.0
READY_WITHIN_S = 300.0
EXCHANGE = f"{PROJECT}_exchange"
"""The network that nodes share."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Compose:
    """One project of docker compose.

    Attributes:
        environment: What its commands see.
    """

    environment: Mapping[str, str] = field(repr=False)

    def run(self, *words: str, check: bool = True, timeout_s: float = BUILD_WITHIN_S) -> str:
        """What a command of docker compose says, on both streams."""
        return self._said([str(TREE / "deploy" / "compose"), *words], check=check, timeout_s=timeout_s)

    def piped(self, *words: str, given: bytes = b"", timeout_s: float = 120.0) -> bytes:
        """What a command of docker compose makes of what it is given, without what it says beside that."""
        done = subprocess.run(  # noqa: S603  # our own scripts
            [str(TREE / "deploy" / "compose"), *words],
            env=self.environment,
            input=given,
            capture_output=True,
            timeout=timeout_s,
            check=False,
        )
        assert done.returncode == 0, done.stderr[-4000:]
        return done.stdout

    def take_away(self) -> None:
        """Take everything away for good.

        Docker 20.10 on a busy machine may hold on to a network for a container that is gone; compose then stops before
        it removes volumes. The network's name is this process's alone, so it is in nobody's way.
        """
        told = self.run("down", "--volumes", "--remove-orphans", check=False)
        left = self.docker("volume", "ls", "--quiet", "--filter", f"label=com.docker.compose.project={PROJECT}").split()
        if left:
            assert "active endpoints" in told, told
            self.docker("volume", "rm", *left)

    def docker(self, *words: str, check: bool = True) -> str:
        """What a command of the engine says, on both streams."""
        return self._said(["docker", *words], check=check, timeout_s=60.0)

    def inspect(self) -> dict[str, Any]:
        """All that the engine knows of every service's container, in its own JSON."""
        project = f"label=com.docker.compose.project={PROJECT}"
        known = self.docker("inspect", *self.docker("ps", "--all", "--quiet", "--filter", project).split())
        return {each["Config"]["Labels"]["com.docker.compose.service"]: each for each in msgspec.json.decode(known)}

    def execute(self, service: str, *words: str, check: bool = True) -> str:
        """What a command inside a service's container says, on both streams."""
        return self.docker("exec", self.container(service), *words, check=check)

    def kill(self, service: str) -> None:
        """End a service's container by SIGKILL, for the engine to leave as it is."""
        self.docker("kill", "--signal", "KILL", self.container(service))

    def start(self, service: str) -> None:
        """Start a service's container that was ended."""
        self.docker("start", self.container(service))

    def cut_off(self, service: str) -> None:
        """Take a node off the network that nodes share; it keeps its database."""
        self.docker("network", "disconnect", EXCHANGE, self.container(service))

    def join(self, service: str) -> None:
        """Put a node back on the network, under its name."""
        self.docker("network", "connect", "--alias", service, EXCHANGE, self.container(service))

    def container(self, service: str) -> str:
        """The id of a service's container, running or not."""
        labels = (f"project={PROJECT}", f"service={service}", "oneoff=False")
        wanted = [word for label in labels for word in ("--filter", f"label=com.docker.compose.{label}")]
        return self.docker("ps", "--all", "--quiet", *wanted).strip()

    def network_status(self) -> NetworkStatus | None:
        """The tree's numbers from the nation's status door; ``None`` where it does not answer just now."""
        authority = self.execute("cn", "cat", "network/authority.pem", check=False)
        try:
            trust = ssl.create_default_context(cadata=authority)
            url = f"https://localhost:{self.environment['STATUS_PORT']}/operator/v1/network"
            answer = httpx.get(url, verify=trust, trust_env=False, timeout=10.0)
            return msgspec.json.decode(answer.content, type=NetworkStatus) if answer.is_success else None
        except (httpx.HTTPError, ssl.SSLError):
            return None

    def until_all_answer(self) -> NetworkStatus:
        """What the nation tells once it hears of everybody; fails if it does not in time."""
        return self.until_away([])

    def until_away(self, addresses: Sequence[str]) -> NetworkStatus:
        """What the nation tells once it hears of all but these; fails if it does not in time."""
        deadline = time.monotonic() + READY_WITHIN_S
        while (status := self.network_status()) is None or status.away != list(addresses):
            assert time.monotonic() < deadline, status and status.silences
            time.sleep(0.5)
        return status

    def until_ready(self, service: str) -> None:
        """Return once a node says that it is ready; fail if it does not in time."""
        deadline = time.monotonic() + READY_WITHIN_S
        ask = ("sh", "-c", "python3 -m health_exchange.cli.ready node.toml 2>&1 && echo ready")
        while (told := self.execute(service, *ask, check=False).strip()) != "ready":
            assert time.monotonic() < deadline, f"{service}: {told}"
            time.sleep(0.5)

    def memory_bytes(self, service: str) -> int:
        """Resident memory of all processes in a service's container together."""
        told = self.execute(service, "sh", "-c", "cat /proc/[0-9]*/status 2> /dev/null", check=False)
        return sum(int(line.split()[1]) * 1024 for line in told.splitlines() if line.startswith("VmRSS:"))

    def _said(self, command: Sequence[str], *, check: bool, timeout_s: float) -> str:
        done = subprocess.run(  # noqa: S603  # our own scripts
            command,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=timeout_s,
            check=False,
        )
        assert not check or done.returncode == 0, f"{' '.join(command[:6])}: {done.returncode}\n{done.stdout[-4000:]}"
        return done.stdout


def compose_here(profile: str) -> Compose:
    """The project on the engine that answers; skips the test, or fails it where one is required, if none does."""
    environment = {
        **os.environ,
        "COMPOSE_PROJECT_NAME": PROJECT,
        "COMPOSE_PROFILES": profile,
        "STATUS_PORT": str(_free_port()),
    }
    compose = Compose(environment=environment)
    if shutil.which("docker") is None or "Server Version" not in compose.docker("info", check=False):
        missing("docker", "CONTAINERS ARE NOT TESTED: no container engine answers; set DOCKER_HOST or start one")
    return compose


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
