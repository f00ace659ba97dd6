"""What others depend on: a change here is a change for somebody outside, so it is made on purpose."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from health_exchange.api.exchange_door import HANDLERS
from health_exchange.api.operator_description import DESCRIBED
from health_exchange.api.problems import PROBLEMS
from health_exchange.cli.main import main
from health_exchange.model.errors import Category
from health_exchange.node.answering import LOOKUP_PATH
from health_exchange.node.network import NetworkStatus
from health_exchange.node.readiness import Readiness
from health_exchange.node.status import NodeStatus
from health_exchange.node.troubles import Trouble
from health_exchange.telemetry import families
from health_exchange.telemetry.metrics import Family

EXCHANGE = {
    ("GET", "/exchange/v1/directory"),
    ("GET", "/exchange/v1/hello"),
    ("GET", "/exchange/v1/pulse"),
    ("GET", "/exchange/v1/receipts"),
    ("GET", "/exchange/v1/status"),
    ("POST", "/exchange/v1/disclosures"),
    ("POST", "/exchange/v1/envelopes"),
    ("POST", "/exchange/v1/evaluations"),
    ("POST", "/exchange/v1/locators"),
    ("POST", "/exchange/v1/rejoining"),
    ("POST", "/exchange/v1/shares/deal"),
    ("POST", "/exchange/v1/shares/take"),
    ("POST", "/exchange/v1/tickets"),
    ("POST", "/exchange/v1/witness"),
}
OPERATOR = {
    ("GET", "/health/live"),
    ("GET", "/health/ready"),
    ("GET", "/metrics"),
    ("GET", "/operator/v1/audit/entries/{position}"),
    ("GET", "/operator/v1/audit/entries/{position}/proof"),
    ("GET", "/operator/v1/consents/{id}/effect"),
    ("GET", "/operator/v1/network"),
    ("GET", "/operator/v1/openapi.json"),
    ("GET", "/operator/v1/person/erasure/{case}"),
    ("GET", "/operator/v1/policy/refusals/{reference}"),
    ("GET", "/operator/v1/status"),
    ("POST", "/operator/v1/audit/evidence"),
    ("POST", "/operator/v1/audit/search"),
    ("POST", "/operator/v1/person/erasure"),
    ("POST", "/operator/v1/person/view"),
    ("POST", "/operator/v1/policy/explain"),
}
STATUSES = {
    "incorrect": 400,
    "unauthenticated": 401,
    "forbidden": 403,
    "not-found": 404,
    "gone": 410,
    "precondition": 412,
    "too-large": 413,
    "conflict": 409,
    "unsupported": 501,
    "busy": 429,
    "unavailable": 503,
    "fault": 500,
}
NODE_STATUS = (
    "address tier name received forwarded opened held resources persons persons_across_provinces shared_with "
    "undelivered awaited waiting_for_pseudonym refused lag_s log is_settled at release condition troubles"
)
METRICS = """
node{address,tier,release} ready trouble_seconds{code} queue_envelopes{peer} queue_age_seconds{peer}
receipts_awaited{peer} unsent_changes envelope_lag_seconds{child} latest_lag_seconds refused_envelopes waiting_subjects
held_resources{reason} resources commit_seconds requests_total{door,method,route,status} request_seconds{door}
peer_requests_total{operation,outcome} decisions_total{kind,action,outcome} log_entries log_uncosigned_entries
peer_up{peer} peer_clock_seconds{peer} evaluation_quota_use_ratio evaluation_quota_near_limit
certificate_expiry_timestamp_seconds{certificate} key_age_seconds{key} turn_age_seconds{turn} database_bytes
disk_free_bytes
"""
"""What dashboards and alarms are made of, after ``health_exchange_``."""


def left_with(words: list[str]) -> object:
    """The code with which the command leaves. What it raised instead would be a trace."""
    with pytest.raises(SystemExit) as leaving:
        main(words)
    return leaving.value.code


def test_the_exchange_operations_are_these() -> None:
    assert set(HANDLERS) == EXCHANGE
    assert LOOKUP_PATH == "/exchange/v1/lookup"  # only where identities are seen


def test_the_operator_api_is_this() -> None:
    assert DESCRIBED.keys() == OPERATOR


def test_categories_look_like_this_in_http() -> None:
    assert {category.value: int(PROBLEMS[category].status) for category in Category} == STATUSES


def test_a_nodes_status_has_these_fields() -> None:
    assert NodeStatus.__struct_fields__ == tuple(NODE_STATUS.split())
    assert NetworkStatus.__struct_fields__ == ("nodes", "away", "silences")
    assert Trouble.__struct_fields__ == ("code", "detail", "since", "blocks")
    assert Readiness.__struct_fields__ == ("status", "missing")


def test_the_metrics_are_these() -> None:
    told = [value for value in vars(families).values() if isinstance(value, Family)]
    names = {
        family.name
        + ("_total" if family.kind == "counter" else "")
        + (f"{{{','.join(family.labels)}}}" if family.labels else "")
        for family in told
    }
    assert names == set(METRICS.split())


def test_every_metric_is_explained_to_operators() -> None:
    page = (Path(__file__).parents[2] / "docs" / "operators" / "monitoring.md").read_text("utf-8")
    told = [value for value in vars(families).values() if isinstance(value, Family)]
    assert [family.name for family in told if f"`{family.name}" not in page] == []


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ([], "demo|drill|replay|node|database|network|rotate|lookup|audit|person|policy|samples"),
        (["demo"], "--dir|--samples|--json|--once|--stay"),
        (["network", "create"], "--plan|--dir|--samples"),
        (["replay"], "--dir|--samples|--rate|--json"),
        (["drill"], "SCENARIO|--list|--seed|--stage|--database|--rate|--long|--dir|--json"),
        (
            ["node", "run"],
            "--settings|--standalone|--dir|--host|--port|--url|--database-url|--database-password|--open",
        ),
        (["node", "token"], "--dir|--ca"),
        (["node", "status"], "--url|--ca|--json"),
        (["network", "status"], "--url|--ca|--json"),
        (
            ["network", "request"],
            "--network|--address|--tier|--name|--exchange-url|--fhir-url|--host|--database|folder",
        ),
        (["network", "admit"], "--settings|--fingerprint|--authority-key|--answer|--days|--overlap-hours|request"),
        (["network", "directory"], "--settings|folder"),
        (["rotate"], "at-rest|certificate|signing|sealing|shares|forget"),
        (["rotate", "at-rest"], "--settings|--step|--rest-ms"),
        (["rotate", "certificate"], "--settings|--request|--answer"),
        (["rotate", "signing"], "--settings|--request"),
        (["rotate", "sealing"], "--settings|--request"),
        (["rotate", "shares"], "--settings|--overlap-hours"),
        (["rotate", "forget"], "--settings"),
        (["audit", "export"], "--settings|folder"),
        (["audit", "verify"], "folder"),
        (["person", "view"], "--url|--ca|--client-id|--key|--system|--json"),
        (["person", "erase"], "--url|--ca|--client-id|--key|--system|--case|--json"),
        (["person", "erasure-report"], "--url|--ca|--client-id|--key|--case|--json"),
        (["audit"], "list|show|prove|evidence|reconcile|export|verify"),
        (
            ["audit", "list"],
            "--url|--ca|--client-id|--key|--person|--who|--facility|--node|--purpose|--outcome|--since|--everywhere",
        ),
        (["audit", "show"], "--node|position"),
        (["audit", "prove"], "--node|--out|position"),
        (["audit", "evidence"], "--person|--out"),
        (["audit", "reconcile"], "--url|--since|--tolerance|--json|folders"),
        (["policy", "explain"], "words|--policies|--json|level|at|from"),
        (["policy", "table"], "--policies|--against"),
        (["samples", "generate"], "--seed|--people|--dir"),
    ],
)
def test_help_tells_every_word(words: list[str], told: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert left_with([*words, "--help"]) == 0

    text = capsys.readouterr().out
    for word in told.split("|"):
        assert re.search(rf"(?<![\w-]){re.escape(word)}(?![\w-])", text), word


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (["node", "run", "--settings", "/nowhere/node.toml"], 2, "bad-settings"),
        (["node", "run", "--settings", "x", "--open"], 2, "--open goes with --standalone"),
        (["node", "run"], 2, "--settings --standalone"),
        (["node", "token", "--dir", "/nowhere"], 2, "bad-settings"),
        (["node", "status", "--url", "http://10.0.0.1:1", "--ca", "/nowhere"], 2, "https://host:port"),
        (["node", "status", "--url", "https://127.0.0.1:1"], 2, "--ca is missing"),
        (["network", "status", "--url", "https://127.0.0.1:1", "--ca", "/nowhere"], 2, "/nowhere"),
        (["audit", "verify", "/nowhere"], 2, "no exported log"),
        (["nonsense"], 2, "invalid choice"),
        (["rotate", "at-rest", "--settings", "/nowhere/node.toml"], 2, "bad-settings"),
        (["rotate", "at-rest", "--settings", "x", "--step", "0"], 2, "--step is at least 1"),
        (["rotate", "shares", "--settings", "x", "--overlap-hours", "-1"], 2, "--overlap-hours is at least 0"),
        (
            [
                *(
                    "network",
                    "request",
                    "/nowhere/node",
                    "--network",
                    "/nowhere",
                    "--address",
                    "CN",
                    "--tier",
                    "county",
                ),
                *("--name", "n", "--exchange-url", "https://h:1", "--fhir-url", "https://h:2"),
            ],
            2,
            "--address: an address starts with its nation",
        ),
        (
            [
                *("person", "erasure-report", "--url", "https://127.0.0.1:1", "--case", "1"),
                *("--client-id", "c", "--key", "/nowhere", "--ca", "/nowhere"),
            ],
            2,
            "bad-request",
        ),
        (["policy", "explain", "zhang", "reads"], 2, "unclear-question"),
        (["policy", "explain", "viewer", "read", "level", "4", "TREAT"], 1, "smallest change"),
        (["policy", "explain", "viewer", "read", "level", "3", "TREAT"], 0, "allowed"),
        (["policy", "table", "--policies", "/nowhere"], 2, "bad-policy"),
    ],
)
def test_a_wrong_command_says_what_is_wrong(
    words: list[str], code: int, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert left_with(words) == code

    assert told in "".join(capsys.readouterr())


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (["rotate", "shares", "--help"], 0, "--overlap-hours"),
        (["nonsense"], 2, "invalid choice"),
        (["node", "run", "--settings", "/nowhere/node.toml"], 2, "bad-settings"),
        (["node", "status", "--url", "http://127.0.0.1:1"], 3, "does not answer"),
        (["policy", "explain", "viewer", "read", "level", "4", "TREAT"], 1, "smallest change"),
    ],
)
def test_the_program_says_so_too_without_a_trace_and_leaves_with_that_code(
    words: list[str], code: int, told: str
) -> None:
    answer = subprocess.run(  # noqa: S603  # our own program
        [sys.executable, "-m", "health_exchange", *words], capture_output=True, text=True, check=False
    )

    assert answer.returncode == code
    assert told in answer.stdout + answer.stderr
    assert "Traceback" not in answer.stderr
