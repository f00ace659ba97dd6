"""A server that anyone starts: the real program in an empty folder, on both databases, and a stranger who uses it."""

import asyncio
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from tests.databases import NewDatabase
from tests.federation.records import condition, national_id, patient, transaction
from tests.processes.alone import free_port, started
from tests.processes.tree import run

from health_exchange.cli.demo.network import HOST

pytestmark = [pytest.mark.slow, pytest.mark.enable_socket]

FHIR = {"Content-Type": "application/fhir+json"}


async def test_a_stranger_starts_it_uses_it_and_finds_everything_again(
    tmp_path: Path, new_database: NewDatabase
) -> None:
    folder, port, database = tmp_path / "standalone", free_port(), new_database()
    base = f"http://{HOST}:{port}/fhir"
    async with started(folder, port, "--open", "--database-url", database) as process:
        assert process.stdout is not None
        told = (await process.stdout.readuntil(b"Ctrl-C")).decode()
        async with httpx.AsyncClient(trust_env=False, headers=FHIR) as http:
            created = await http.post(f"{base}/Patient", json=patient("any", identity=None))
            place = created.headers["Location"].split("/_history")[0]
            changed = await http.put(place, json=(await http.get(place)).json() | {"gender": "male"})
            sent = await http.post(base, content=transaction(patient("p9", identity=national_id(9))))
            deleted = await http.delete(place)
            gone = await http.get(place)
            seen = await http.get(f"{base}/Patient?_count=10")
        lengths = [await status_of(port, f"/fhir?{'x' * characters}") for characters in (60_000, 70_000)]
        status = await run("node", "status", "--url", f"http://{HOST}:{port}")
        second = await refused(folder, free_port())
    taken = await run("audit", "export", "--settings", str(folder / "node.toml"), str(tmp_path / "log"))
    verified = await run("audit", "verify", str(tmp_path / "log"))

    assert f"FHIR R4 at {base}" in told
    assert "client.key" in told
    assert [created.status_code, changed.status_code, sent.status_code] == [201, 200, 200]
    assert [deleted.status_code, gone.status_code, seen.json()["total"]] == [204, 410, 1]
    assert lengths == [400, 414]
    assert ": ok" in status.splitlines()[0]
    assert "database-taken" in second
    assert "cosigned" not in taken
    assert "0 cosignatures" in verified

    async with started(folder, port), httpx.AsyncClient(trust_env=False, headers=FHIR) as http:
        assert (await http.get(f"{base}/Patient")).status_code == 401
        token = (await run("node", "token", "--dir", str(folder))).strip()
        again = await http.get(f"{base}/Patient", headers={"Authorization": f"Bearer {token}"})
        written = await http.put(
            f"{base}/Condition/c1",
            json=condition("c1", again.json()["entry"][0]["resource"]["id"], "E11"),
            headers={"Authorization": f"Bearer {token}"},
        )
    assert again.json()["total"] == 1
    assert written.status_code == 201


async def status_of(port: int, target: str) -> int:
    """What a URL is answered by that clients would not send."""
    async with asyncio.timeout(30):
        reader, writer = await asyncio.open_connection(HOST, port)
        writer.write(f"GET {target} HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n\r\n".encode())
        _version, status, *_reason = (await reader.readline()).split()
        writer.close()
        return int(status)


async def refused(folder: Path, port: int) -> str:
    """What a further process in the folder says before it ends."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "health_exchange", "node", "run", "--standalone", "--dir", str(folder)),
        *("--port", str(port)),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    _told, failed = await asyncio.wait_for(process.communicate(), 30)
    assert process.returncode == 1
    assert b"Traceback" not in failed
    return failed.decode()
