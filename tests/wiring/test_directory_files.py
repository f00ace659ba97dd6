"""The directory beside a node and the one its database keeps: which of them it goes by when it starts."""

import asyncio
import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
from tests.wiring.test_network import NATION
from tests.wiring.test_renewal import ALL, COUNTY, PROVINCE, At, Disk

from health_exchange.model.errors import ExchangeError
from health_exchange.node.directory_updates import FACT
from health_exchange.protocol.directories import SignedDirectory, make_directory, pack_directory
from health_exchange.store import node_state
from health_exchange.wiring import files
from health_exchange.wiring.assembly import AssembledNode, assemble
from health_exchange.wiring.directory_files import DirectoryFiles, publish_directory, read_directory_files
from health_exchange.wiring.enrolment import prepare_node, write_public
from health_exchange.wiring.files import FileBusyError, locked
from health_exchange.wiring.inspection import open_store
from health_exchange.wiring.renewal import ask_for_keys, forget_keys
from health_exchange.wiring.settings import Settings


@pytest.fixture
def disk(tmp_path: Path) -> Disk:
    return Disk(tmp_path / "net")


def next_after(disk: Disk, name: str) -> SignedDirectory:
    """A directory in which a county has another name."""
    known = read_directory_files(disk.settings(NATION))
    cards = dict(known.directory.nodes)
    cards[COUNTY] = replace(cards[COUNTY], name=name)
    directory = replace(known.directory, nodes=cards, serial=known.serial + 1)
    return make_directory(directory, disk.keys(NATION).signing)


def disk_name(disk: Disk) -> str:
    """What the county is called in the first directory."""
    return read_directory_files(disk.settings(NATION)).directory.nodes[COUNTY].name


def keep(settings: Settings, signed: SignedDirectory) -> None:
    store = open_store(settings)
    store.write_now(lambda tx: node_state.put(tx, FACT, pack_directory(signed)))
    store.close()


async def started(settings: Settings) -> AssembledNode:
    return await asyncio.to_thread(assemble, settings)


async def test_a_node_starts_by_the_newer_of_the_two(disk: Disk) -> None:
    settings, newer = disk.settings(PROVINCE), next_after(disk, "newer")
    keep(settings, newer)
    by_database = await started(settings)
    await by_database.close()
    publish_directory(settings, newer)
    publish_directory(settings, next_after(disk, "newest"))
    by_file = await started(settings)
    await by_file.close()

    assert by_database.node.parts.directory.nodes[COUNTY].name == "newer"
    assert by_file.node.parts.directory.nodes[COUNTY].name == "newest"


@pytest.mark.parametrize("renames", [0, 1])
async def test_who_is_stopped_while_a_directory_is_published_leaves_a_pair_that_fits(
    disk: Disk, monkeypatch: pytest.MonkeyPatch, renames: int
) -> None:
    settings, newer, before = disk.settings(PROVINCE), next_after(disk, "newer"), disk_name(disk)
    done, replace_path = list[Path](), Path.replace

    def stopped(path: Path, target: Path) -> Path:
        if len(done) == renames:
            raise KeyboardInterrupt
        done.append(target)
        return replace_path(path, target)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "replace", stopped)
        with pytest.raises(KeyboardInterrupt):
            publish_directory(settings, newer)
    found, seen = read_directory_files(settings), DirectoryFiles(settings).changed()
    publish_directory(settings, newer)

    assert found.directory.nodes[COUNTY].name == ("newer" if renames else before)
    assert seen == (found.raw, found.signature)
    assert read_directory_files(settings) == newer
    assert not list(Path(settings.directory).parent.glob(".*.new"))


class Stopping:
    """Stops at a step: before one of what changes files, and after all of the steps before."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, before: int) -> None:
        self._left = before
        for owner, name in ((Path, "replace"), (Path, "unlink"), (files, "write_new")):
            monkeypatch.setattr(owner, name, self._counted(getattr(owner, name)))

    def _counted(self, step: Callable[..., object]) -> Callable[..., object]:
        def run(*arguments: object, **named: object) -> object:
            self._left -= 1
            if self._left < 0:
                raise KeyboardInterrupt
            return step(*arguments, **named)

        return run


STEPS = 8
"""More than there are, so that the last are not stopped at all."""


@pytest.mark.parametrize("second", range(STEPS))
@pytest.mark.parametrize("first", range(STEPS))
def test_who_is_stopped_anywhere_and_the_next_one_too_leave_a_pair_that_fits(
    disk: Disk, monkeypatch: pytest.MonkeyPatch, first: int, second: int
) -> None:
    settings, known = disk.settings(PROVINCE), [read_directory_files(disk.settings(PROVINCE))]
    for name, steps in (("newer", first), ("newest", second)):
        signed = next_after(disk, name)
        known.append(signed)
        with monkeypatch.context() as patched, suppress(KeyboardInterrupt):
            Stopping(patched, before=steps)
            publish_directory(settings, signed)
        assert read_directory_files(settings) in known
    publish_directory(settings, known[-1])

    assert read_directory_files(settings) == known[-1]
    assert not list(Path(settings.directory).parent.glob(".*.new"))


async def test_where_they_contradict_each_other_it_goes_by_what_it_has_used_and_alarms(disk: Disk) -> None:
    settings = disk.settings(PROVINCE)
    used, other = next_after(disk, "used"), next_after(disk, "fork")
    keep(settings, used)
    publish_directory(settings, other)

    assembled = await started(settings)
    turn = next(turn for turn in assembled.node.turns if turn.name == "directory")
    with pytest.raises(ExchangeError, match="two directories of number 2"):
        await turn.take()
    await assembled.close()

    assert assembled.node.parts.directory.nodes[COUNTY].name == "used"


async def test_an_old_file_does_not_keep_a_node_from_starting_whose_former_keys_are_destroyed(disk: Disk) -> None:
    settings = disk.settings(PROVINCE)
    first = read_directory_files(settings)
    ask_for_keys(settings, ALL, request=disk.request, clock=At())
    disk.admit("answer", overlap=-At(hours=1).ahead)
    disk.hear(PROVINCE, COUNTY)
    assert forget_keys(settings, clock=At()).kept == ()
    keep(settings, read_directory_files(settings))
    publish_directory(settings, first)

    assembled = await started(settings)
    await assembled.close()

    assert assembled.node.parts.directory.serial == 2


async def test_no_next_directory_is_made_from_a_file_that_a_backup_brought_back(disk: Disk) -> None:
    keep(disk.settings(NATION), next_after(disk, "used by the nation's node"))
    ask_for_keys(disk.settings(PROVINCE), ALL, request=disk.request, clock=At())

    with pytest.raises(ExchangeError, match="is number 1, and the nation's node has used 2"):
        disk.admit("answer")


def test_the_public_folder_that_any_node_writes_is_enough_for_a_newcomer(disk: Disk, tmp_path: Path) -> None:
    keep(disk.settings(COUNTY), next_after(disk, "newest"))

    signed = write_public(disk.settings(COUNTY), tmp_path / "public")

    newcomer = replace(signed.directory.nodes[COUNTY], name="newcomer")
    prepare_node(
        newcomer,
        network=tmp_path / "public",
        folder=tmp_path / "node",
        host="127.0.0.1",
        database="sqlite:///node.sqlite",
        randomness=os.urandom,
    )
    assert signed.serial == 2
    with pytest.raises(ExchangeError, match="File exists"):
        write_public(disk.settings(COUNTY), tmp_path / "public")


def test_a_file_that_another_process_changes_is_waited_for_and_not_for_ever(tmp_path: Path) -> None:
    path = tmp_path / "directory.json"
    with locked(path, within_s=0), pytest.raises(FileBusyError, match="is being changed by another process"):
        locked(path, within_s=0.1).__enter__()
    with locked(path, within_s=0):
        pass
