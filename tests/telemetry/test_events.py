"""Events: what a line may carry, and that nothing else can."""

import json

import pytest

from health_exchange.telemetry.events import FIELDS, event_line, log_event


def test_an_event_is_one_json_line_on_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    log_event("turn-failed", turn="send", code="unavailable", count=2, detail="the peer is away\nstill")

    written = capsys.readouterr()
    assert written.out == ""
    assert written.err.count("\n") == 1
    assert json.loads(written.err) == {
        "event": "turn-failed",
        "turn": "send",
        "code": "unavailable",
        "count": 2,
        "detail": "the peer is away\nstill",
    }


@pytest.mark.parametrize("field", ["body", "name_", "identifier", "query", "url", "subject"])
def test_a_field_that_is_not_on_the_list_is_refused_without_quoting_it(field: str) -> None:
    with pytest.raises(ValueError, match=field) as caught:
        event_line("request", **{field: "1101011990"})

    assert "1101011990" not in str(caught.value)


@pytest.mark.parametrize("name", ["", "Turn failed", "turn_failed", "turn-", "-turn", "turn\nfailed"])
def test_an_event_has_a_kebab_case_name(name: str) -> None:
    with pytest.raises(ValueError, match="kebab-case"):
        event_line(name)


def test_every_listed_field_may_be_written() -> None:
    assert json.loads(event_line("everything", **dict.fromkeys(FIELDS, 1))).keys() == FIELDS | {"event"}


def test_half_a_character_is_told_too() -> None:
    assert json.loads(event_line("fault", detail="\ud800")) == {"event": "fault", "detail": "\ud800"}
