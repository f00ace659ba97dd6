"""The servers that tests start for themselves: none outlives its test process for long."""

import signal
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest
from tests.databases import PostgresqlServer, running_server

PROGRAM = """
import time
from tests.databases import running_server
with running_server() as server:
    print(server.folder, flush=True)
    time.sleep(600)
"""


@pytest.mark.slow
def test_the_server_of_a_test_process_that_was_killed_is_removed_by_the_next(postgresql: PostgresqlServer) -> None:
    program = [sys.executable, "-c", PROGRAM]
    with subprocess.Popen(program, cwd=Path(__file__).parents[2], stdout=subprocess.PIPE, text=True) as killed:  # noqa: S603  # this file's
        assert killed.stdout is not None
        left = PostgresqlServer(folder=Path(killed.stdout.readline().strip()), port=5432, binaries=postgresql.binaries)
        left.execute("SELECT 1")
        killed.send_signal(signal.SIGKILL)
    assert left.folder.exists()
    with running_server() as server:
        assert not left.folder.exists()
        with pytest.raises(psycopg.OperationalError):
            left.execute("SELECT 1")
        server.execute("SELECT 1")
    postgresql.execute("SELECT 1")
