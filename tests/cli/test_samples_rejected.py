"""The bad inputs beside the samples: one a kind, each with the answer it must get."""

import json
from pathlib import Path

import msgspec
import pytest

FOLDER = Path(__file__).parents[2] / "sample_records" / "rejected"
NAMES = sorted(path.name.removesuffix(".expected.json") for path in FOLDER.glob("*.expected.json"))


def test_every_bad_body_has_its_expected_answer() -> None:
    bodies = {path.name.removesuffix(".json") for path in FOLDER.glob("*.json")} - {
        f"{name}.expected" for name in NAMES
    }

    assert sorted(bodies) == NAMES
    assert len(NAMES) >= 20


@pytest.mark.parametrize("name", NAMES)
def test_an_expected_answer_says_what_and_where(name: str) -> None:
    expected = json.loads((FOLDER / f"{name}.expected.json").read_bytes())

    assert {"method", "path", "content_type", "status", "issue_code", "where", "stored"} <= set(expected)
    assert expected["status"] == 400 or expected["entry_status"] == 400
    assert expected["issue_code"].replace("-", "").isalpha()


@pytest.mark.parametrize("name", ["truncated-json", "invalid-utf8"])
def test_what_is_called_broken_json_cannot_be_read(name: str) -> None:
    with pytest.raises((msgspec.DecodeError, UnicodeDecodeError)):
        msgspec.json.decode((FOLDER / f"{name}.json").read_bytes())


def test_one_entry_of_many_is_bad() -> None:
    for kind in ("transaction", "batch"):
        bundle = json.loads((FOLDER / f"one-bad-entry-in-{kind}.json").read_bytes())
        bad = [number for number, entry in enumerate(bundle["entry"]) if "status" not in entry["resource"]]

        assert bundle["type"] == kind
        assert len(bundle["entry"]) > 100
        assert bad == [57]
