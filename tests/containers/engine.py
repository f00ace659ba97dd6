"""The network in containers, as ``make up`` starts it, under a name and a port of its own."""

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
from tests.requirements import missing

TREE = Path(__file__).parents[2]
PROJECT = f"health_exchange_test_{os.getpid()}"
BUILD_WITHIN_S = 600.0
READY_WITHIN_S = 300.0


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
        return self.docker("exec", self.inspect()[service]["Id"], *words, check=check)

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
