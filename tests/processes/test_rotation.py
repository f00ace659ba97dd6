"""Keys replaced in a tree of real processes while a hospital goes on writing: no request fails, nothing is lost."""

import asyncio
import http.client
import ssl
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from tests.processes.tree import COUNTY, NATION, SICHUAN, ZHEJIANG, Tree, Written, run, running_tree

from health_exchange.crypto.keyset import NodeKeys
from health_exchange.model.addresses import NodeAddress
from health_exchange.pseudonym.threshold import decode_shares

pytestmark = [pytest.mark.slow, pytest.mark.enable_socket]

PEOPLE = 60
HOLDERS = (NATION, ZHEJIANG, SICHUAN)
OVERLAP_S = 30.0


def keys_of(tree: Tree) -> NodeKeys:
    return NodeKeys.from_json((tree.folder(COUNTY) / "keys.json").read_bytes())


async def until(written: Written, bundles: int) -> None:
    """Return once the hospital has sent so many Bundles."""
    while written.bundles < bundles and not written.failures:
        await asyncio.sleep(0.05)


async def check_whole(tree: Tree, written: Written) -> None:
    """Nothing failed, nothing is missing at the nation, every log verifies."""
    assert written.failures == []
    nodes = {node.address: node for node in (await tree.settled()).nodes}
    assert nodes["cn"].resources == nodes[str(COUNTY)].resources == 2 * written.bundles
    assert tree.log_failures() == []


async def test_the_key_at_rest_is_replaced_under_load_though_the_command_is_killed_in_between(tmp_path: Path) -> None:
    async with running_tree(tmp_path / "net") as tree:
        first = keys_of(tree)
        words = ["rotate", "at-rest", "--settings", tree.settings(COUNTY)]
        async with tree.written_to(tree.url(COUNTY)) as written:
            await until(written, PEOPLE)
            await killed_midway([*words, "--step", "2", "--rest-ms", "50"])
            between = keys_of(tree)
            await until(written, written.bundles + 20)
            told = await run(*words)
            await until(written, written.bundles + 20)
        last = keys_of(tree)
        tree.supervisor.kill(COUNTY)
        tree.supervisor.start(COUNTY)

        await check_whole(tree, written)

    assert between.former.at_rest == (first.at_rest,)
    assert (last.at_rest, last.former.at_rest) == (between.at_rest, ())
    assert last.at_rest != first.at_rest
    assert "a rotation was begun before; going on with it" in told


async def test_signing_and_sealing_keys_are_replaced_under_load(tmp_path: Path) -> None:
    async with running_tree(tmp_path / "net") as tree:
        async with tree.written_to(tree.url(COUNTY)) as written:
            await until(written, 10)
            for address in (COUNTY, ZHEJIANG):
                for what in ("signing", "sealing"):
                    await run("rotate", what, "--settings", tree.settings(address))
                request, answer = tree.folder(address) / "request.json", tree.root / f"answer-{address.segments[-1]}"
                await admit(tree, request, answer, "--overlap-hours", str(OVERLAP_S / 3600))
            await asyncio.sleep(OVERLAP_S + 3)
            await until(written, written.bundles + 20)

        await check_whole(tree, written)
        kept = await run("rotate", "forget", "--settings", tree.settings(ZHEJIANG), code=1)

    assert "0 former keys destroyed" in kept
    assert kept.count("and accepted for a while after") == 3


async def test_key_shares_are_renewed_under_load(tmp_path: Path) -> None:
    async with running_tree(tmp_path / "net") as tree:
        old = {holder: (tree.folder(holder) / "share.json").read_bytes() for holder in HOLDERS}
        async with tree.written_to(tree.url(COUNTY)) as written:
            await until(written, 10)
            told = await run(
                *("rotate", "shares", "--settings", tree.settings(NATION), "--overlap-hours", str(OVERLAP_S / 3600))
            )
            await asyncio.sleep(OVERLAP_S + 3)
            await until(written, written.bundles + 20)

        await check_whole(tree, written)
        held = (await tree.settled()).nodes

    assert "Directory 2 names shares of version 2" in told
    assert not any(node.held or node.waiting_for_pseudonym for node in held)
    for holder in HOLDERS:
        newest, former = decode_shares((tree.folder(holder) / "share.json").read_bytes())
        assert (newest.version, (former,)) == (2, decode_shares(old[holder]))


async def killed_midway(words: list[str]) -> None:
    """The command, ended by SIGKILL once it is at work."""
    command = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "health_exchange", *words, stdout=asyncio.subprocess.PIPE
    )
    assert command.stdout is not None
    async with asyncio.timeout(30):
        while b"subjects to look at" not in await command.stdout.readline():
            pass
    await asyncio.sleep(0.3)
    command.kill()
    assert await command.wait() == -9


async def test_certificates_are_replaced_under_load_and_no_request_fails(tmp_path: Path) -> None:
    async with running_tree(tmp_path / "net") as tree:
        async with tree.written_to(tree.url(COUNTY)) as written, probed(tree, COUNTY) as probes:
            await until(written, 10)
            for address in (COUNTY, ZHEJIANG):
                await renew_certificate(tree, address)
            new = certificate_of(tree, COUNTY)
            async with asyncio.timeout(90):
                while set(probes.seen[-20:]) != {new}:
                    await asyncio.sleep(0.2)
            await until(written, written.bundles + 20)

        await check_whole(tree, written)

    assert probes.failures == []
    assert len(set(probes.seen)) == 2


async def renew_certificate(tree: Tree, address: NodeAddress) -> None:
    """What people do on both sides."""
    settings, answer = tree.settings(address), tree.root / f"answer-{address.segments[-1]}"
    await run("rotate", "certificate", "--settings", settings)
    await admit(tree, tree.folder(address) / "request.json", answer)
    await run("rotate", "certificate", "--settings", settings, "--answer", str(answer))


async def admit(tree: Tree, request: Path, answer: Path, *more: str) -> None:
    """The nation's side."""
    authority_key = tree.root / "authority" / "authority.key"
    await run(
        *("network", "admit", str(request), "--settings", tree.settings(NATION)),
        *("--authority-key", str(authority_key), "--answer", str(answer), *more),
    )


def certificate_of(tree: Tree, address: NodeAddress) -> bytes:
    """The node's certificate file, as a listener would show it."""
    return ssl.PEM_cert_to_DER_cert((tree.folder(address) / "certificate.pem").read_text())


@dataclass(slots=True)
class Probes:
    """What clients saw that connect anew each time: which certificate, and what went wrong."""

    seen: list[bytes] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)


@asynccontextmanager
async def probed(tree: Tree, address: NodeAddress) -> AsyncIterator[Probes]:
    """New connections all the while, each with one request."""
    probes, stop = Probes(), asyncio.Event()

    async def probe() -> None:
        while not stop.is_set():
            try:
                probes.seen.append(await asyncio.to_thread(probe_once, tree, address))
            except (OSError, http.client.HTTPException) as error:
                probes.failures.append(repr(error))
            await asyncio.sleep(0.02)

    probing = asyncio.create_task(probe())
    try:
        yield probes
    finally:
        stop.set()
        await probing


def probe_once(tree: Tree, address: NodeAddress) -> bytes:
    """The certificate that a new connection is shown, once it has answered a request."""
    url = urlsplit(tree.url(address))
    connection = http.client.HTTPSConnection(str(url.hostname), url.port, context=tree.trust, timeout=10)
    try:
        connection.connect()
        shown = connection.sock.getpeercert(binary_form=True) or b""
        connection.request("GET", "/health/live")
        assert connection.getresponse().status == 200
        return shown
    finally:
        connection.close()
