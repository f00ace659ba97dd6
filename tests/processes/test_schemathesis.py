"""Schemathesis, unmodified, at a real node: whatever the operator API says of itself it keeps, whatever is sent.

It makes requests of the description that the node serves, sound ones and unsound ones, and checks every answer: no
fault, a status, a media type and a body as described, unsound requests refused, and nothing without a token.
"""

import subprocess
import sys
from asyncio import create_subprocess_exec, timeout
from pathlib import Path

import pytest
from tests.processes.alone import free_port, started
from tests.processes.tree import run

from health_exchange.api.operator_description import DESCRIBED, DESCRIPTION_PATH
from health_exchange.cli.demo.network import HOST

pytestmark = [pytest.mark.slow, pytest.mark.enable_socket]

SEED = 45
EXAMPLES = 20
"""Of each route, sound and unsound, beside what the description itself suggests: about half a minute of requests."""
LONGEST_S = 150
NOT_ASKED = "positive_data_acceptance"
"""A description says how a date looks, not that the calendar has it: what fits it may still be refused."""


async def test_the_operator_api_keeps_what_it_says_of_itself(tmp_path: Path) -> None:
    folder, port = tmp_path / "standalone", free_port()
    async with started(folder, port):
        token = (await run("node", "token", "--dir", str(folder))).strip()
        stranger = await create_subprocess_exec(
            *(sys.executable, "-m", "schemathesis.cli", "run", f"http://{HOST}:{port}{DESCRIPTION_PATH}"),
            *("--header", f"Authorization: Bearer {token}", "--exclude-checks", NOT_ASKED, "--continue-on-failure"),
            *("--phases", "examples,coverage,fuzzing", "--max-examples", str(EXAMPLES), "--seed", str(SEED)),
            *("--generation-database", "none", "--warnings", "off", "--no-color"),
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        async with timeout(LONGEST_S):
            told, _nothing = await stranger.communicate()

    text = told.decode()
    assert stranger.returncode == 0, text
    assert "No issues found" in text, text
    assert f"Tested: {len(DESCRIBED) - 1}" in text, text  # it has read the description itself already
