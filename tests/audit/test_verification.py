"""An exported log verifies; and with any byte of it flipped, any entry dropped, inserted or moved, it does not."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.audit.logs import ORIGIN, SEED, content

from health_exchange.audit.checkpoints import Checkpoint, sign_checkpoint
from health_exchange.audit.export import export_folder
from health_exchange.audit.hashing import Hash
from health_exchange.audit.verification import render_report, verify_folder

FOLDER = export_folder(content(8))
PROVEN = sorted(path for path in FOLDER if path != "README.txt")
"""The README is words for people; nothing depends on it."""


@pytest.mark.parametrize("size", [1, 2, 7, 255, 256, 257, 600])
def test_a_log_as_it_was_written_verifies(size: int) -> None:
    report = verify_folder(export_folder(content(size, every=50)))

    assert report.failures == []
    assert report.entries == size
    assert report.cosignatures == report.checkpoints == len(content(size, every=50).checkpoints)
    assert "Nothing is wrong" in render_report(report)


@pytest.mark.parametrize("path", PROVEN)
def test_any_flipped_bit_is_found(path: str) -> None:
    raw = FOLDER[path]
    for position in range(len(raw)):
        changed = raw[:position] + bytes((raw[position] ^ (1 << position % 8),)) + raw[position + 1 :]
        report = verify_folder({**FOLDER, path: changed})
        assert report.failures, f"bit {position % 8} of byte {position} of {path}"


@pytest.mark.parametrize("path", PROVEN)
def test_a_missing_file_is_found_unless_it_only_adds_to_what_the_others_prove(path: str) -> None:
    report = verify_folder({name: raw for name, raw in FOLDER.items() if name != path})

    assert report.failures or path.startswith("checkpoints/")


@given(data=st.data(), size=st.integers(2, 12))
def test_a_dropped_inserted_or_moved_entry_is_found_and_named(data: st.DataObject, size: int) -> None:
    folder = export_folder(content(size))
    path = "entries/000000000.jsonl"
    lines = folder[path].split(b"\n")[:-1]
    index = data.draw(st.integers(0, size - 1))
    other = data.draw(st.integers(0, size - 1).filter(lambda each: each != index))
    kind = data.draw(st.sampled_from(["drop", "insert", "swap", "truncate"]))
    changed = list(lines)
    if kind == "drop":
        del changed[index]
        first = index
    elif kind == "insert":
        changed.insert(index, lines[other])
        first = index
    elif kind == "swap":
        changed[index], changed[other] = changed[other], changed[index]
        first = min(index, other)
    else:
        changed = changed[:index]
        first = index
    report = verify_folder({**folder, path: b"".join(line + b"\n" for line in changed)})

    assert f"{first}" in report.failures[0].what or f":{first + 1}" in report.failures[0].where


def test_a_rolled_back_log_is_found() -> None:
    """The writer cuts its log and shows an older checkpoint; who kept the newer one sees it."""
    old, new = content(6), content(9)
    folder = export_folder(old) | {"checkpoints/9": export_folder(new)["checkpoint"]}

    report = verify_folder(folder)

    assert any("entries were removed" in finding.what for finding in report.failures)


def test_a_forked_log_is_found() -> None:
    """Two validly signed checkpoints of one size cannot both be prefixes of one log."""
    forged = sign_checkpoint(Checkpoint(origin=ORIGIN, size=3, root=Hash(b"f" * 32)), SEED)

    report = verify_folder({**FOLDER, "checkpoints/3": forged.encode()})

    assert any("rewritten or forked" in finding.what for finding in report.failures)


def test_entries_past_retention_are_withheld_and_the_log_still_verifies() -> None:
    kept = content(5)
    emptied = [None if number < 2 else raw for number, raw in enumerate(kept.entries)]
    folder = export_folder(
        type(kept)(
            origin=kept.origin,
            public=kept.public,
            witnesses=kept.witnesses,
            tiles=kept.tiles,
            checkpoints=kept.checkpoints,
            cosignatures=kept.cosignatures,
            entries=emptied,
        )
    )

    report = verify_folder(folder)

    assert (report.entries, report.withheld, report.failures) == (3, 2, [])


def test_the_report_of_a_broken_log_says_where_to_look() -> None:
    path = "entries/000000000.jsonl"
    report = verify_folder({**FOLDER, path: FOLDER[path].replace(b"viewer-4", b"viewer-X")})

    assert "entries/000000000.jsonl:5: entry 4 is not the one the log commits to" in render_report(report)


@given(raw=st.binary(max_size=200), path=st.sampled_from(PROVEN))
def test_garbage_is_a_finding_and_never_an_exception(raw: bytes, path: str) -> None:
    verify_folder({**FOLDER, path: raw})
