"""An exported log that was restored once: what came before and after the loss verifies, and the loss is shown."""

from collections.abc import Mapping
from dataclasses import replace

import msgspec
import pytest
from tests.audit.logs import AT, ORIGIN, SEED, WITNESS, WITNESS_SEED, content, entry

from health_exchange.audit import tiles
from health_exchange.audit.checkpoints import Checkpoint, cosign, sign_checkpoint
from health_exchange.audit.entries import commitment, encode_entry
from health_exchange.audit.export import EarlierLog, LogContent, export_folder
from health_exchange.audit.merkle import root_of
from health_exchange.audit.verification import render_report, verify_folder

RESTORED, SIZE = 7, 12
LATER = f"{ORIGIN}@1795507228"
SAID = f"{LATER} goes on from {ORIGIN}: {RESTORED} entries restored, last cosigned at 9, 2 lost"


def restored() -> LogContent:
    """Seven entries of a log that was lost, a restore, and what came afterwards under its new name."""
    before = content(RESTORED)
    said = msgspec.structs.replace(entry(RESTORED), kind="restore", action="restore", summary=SAID)
    after = [bytes(32) + encode_entry(said), *(bytes(32) + encode_entry(entry(at)) for at in range(RESTORED + 1, SIZE))]
    kept, checkpoints, cosignatures = dict(before.tiles), dict(before.checkpoints), dict(before.cosignatures)
    for number, raw in enumerate(after, start=RESTORED + 1):
        kept |= tiles.append(number - 1, [commitment(raw[32:], raw[:32])], kept.get)
    root = root_of(SIZE, tiles.subtree_reader(kept.get))
    checkpoint = Checkpoint(origin=LATER, size=SIZE, root=root)
    checkpoints[SIZE] = sign_checkpoint(checkpoint, SEED)
    cosignatures[SIZE] = [cosign(checkpoint, witness=WITNESS, seed=WITNESS_SEED, at=AT)]
    return replace(
        before,
        origin=LATER,
        tiles=kept,
        checkpoints=checkpoints,
        cosignatures=cosignatures,
        entries=[*before.entries, *after],
        earlier=[EarlierLog(origin=ORIGIN, size=RESTORED)],
    )


def test_both_lives_of_a_log_verify_and_the_loss_is_shown() -> None:
    report = verify_folder(export_folder(restored()))

    assert report.failures == []
    assert report.restores == [SAID]
    assert report.entries == SIZE
    assert f"RESTORED: {SAID}" in render_report(report)


def test_the_export_from_before_the_loss_still_verifies_by_itself() -> None:
    report = verify_folder(export_folder(content(9)))

    assert (report.failures, report.restores) == ([], [])


def earlier(files: Mapping[str, bytes], *logs: Mapping[str, object]) -> dict[str, bytes]:
    """The folder with other claims about earlier logs."""
    keys = msgspec.json.decode(files["keys.json"])
    del keys["earlier"]
    keys |= {"earlier": list(logs)} if logs else {}
    return {**files, "keys.json": msgspec.json.format(msgspec.json.encode(keys)) + b"\n"}


@pytest.mark.parametrize(
    ("logs", "words"),
    [
        ([], "of which keys.json says nothing"),
        ([{"origin": ORIGIN, "size": 5}], "which tells of no restore"),
        ([{"origin": ORIGIN, "size": 3}, {"origin": ORIGIN, "size": RESTORED}], "are not in order"),
        ([{"origin": "health-exchange.example/cn/51", "size": RESTORED}], "is another log's"),
        ([{"origin": ORIGIN, "size": RESTORED - 1}], "commits to 7 entries of a log that had 6 when it ended"),
    ],
)
def test_a_life_that_is_hidden_moved_or_invented_is_found(logs: list[dict[str, object]], words: str) -> None:
    report = verify_folder(earlier(export_folder(restored()), *logs))

    assert any(words in finding.what for finding in report.failures)


def test_a_log_that_is_shown_under_its_old_name_beyond_the_loss_is_found() -> None:
    log = restored()
    old = Checkpoint(origin=ORIGIN, size=SIZE, root=root_of(SIZE, tiles.subtree_reader(log.tiles.get)))
    forged = replace(log, checkpoints={**log.checkpoints, SIZE: sign_checkpoint(old, SEED)}, cosignatures={})

    assert any("when it ended" in finding.what for finding in verify_folder(export_folder(forged)).failures)
