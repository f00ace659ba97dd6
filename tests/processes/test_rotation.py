"""Keys replaced in a tree of real processes while a hospital goes on writing: no request fails, nothing is lost."""

import asyncio
import sys
from pathlib import Path

import pytest
from tests.processes.tree import COUNTY, Tree, Written, run, running_tree

from health_exchange.crypto.keyset import NodeKeys

pytestmark = [pytest.mark.slow, pytest.mark.enable_socket]

PEOPLE = 60


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
