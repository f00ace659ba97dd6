"""``health-exchange person``: what a desk does for the person who stands at it, and erasures on a lawful request.

The identity is typed or piped in, never an argument: arguments stand in process lists and shells' histories.
"""

import argparse
import asyncio
import json
from typing import Any

import msgspec

from health_exchange.cli.connection import NATIONAL_ID_SYSTEM, add_connection, connected, typed_identity


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command's words."""
    parser = subparsers.add_parser("person", help="a person's view, consents and erasure, at the desk of a node")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    view = commands.add_parser("view", help="what a node keeps of a person, who has seen it, what the person has said")
    _add_common(view)
    view.set_defaults(run=run_view)
    erase = commands.add_parser("erase", help="erase a person, everywhere this node's records went")
    _add_common(erase)
    erase.add_argument("--case", required=True, help="reference of the lawful request")
    erase.set_defaults(run=run_erase)
    report = commands.add_parser("erasure-report", help="who has signed for an erasure, and what remains")
    _add_common(report, identified=False)
    report.add_argument("--case", required=True, help="reference of the lawful request")
    report.set_defaults(run=run_report)


def _add_common(parser: argparse.ArgumentParser, *, identified: bool = True) -> None:
    """The words that all share: where, and who asks."""
    add_connection(parser)
    parser.add_argument("--json", action="store_true", help="print the node's answer as it is")
    if identified:
        parser.add_argument(
            "--system", default=NATIONAL_ID_SYSTEM, help="what the identity is; by default a national ID"
        )


def run_view(arguments: argparse.Namespace) -> int:
    """Print the view."""
    view = _ask(arguments, "POST", "/operator/v1/person/view", {"identifier": _identifier(arguments)})
    _print(arguments, view, render_view)
    return 0


def run_erase(arguments: argparse.Namespace) -> int:
    """Erase, and print the report."""
    body = {"identifier": _identifier(arguments), "case": arguments.case}
    _print(arguments, _ask(arguments, "POST", "/operator/v1/person/erasure", body), render_report)
    return 0


def run_report(arguments: argparse.Namespace) -> int:
    """Print the report; 1 while somebody has not signed."""
    report = _ask(arguments, "GET", f"/operator/v1/person/erasure/{arguments.case}", None)
    _print(arguments, report, render_report)
    return 0 if report["above"]["complete"] else 1


def render_view(view: dict[str, Any]) -> list[str]:
    """A view as lines for people."""
    lines = [f"{view['node']} keeps {len(view['records'])} records of this person ({view['at']})"]
    counts: dict[str, int] = {}
    for record in view["records"]:
        counts[record["resourceType"]] = counts.get(record["resourceType"], 0) + 1
    lines += [f"  {count:5d} {name}" for name, count in sorted(counts.items())]
    lines.append("What you have said:")
    for consent in view["consents"]:
        said = " ".join(consent["words"]) or "says nothing that counts"
        lines.append(f"  Consent/{consent['id']} version {consent['version']}, {consent['status']}: {said}")
    lines += _above("consents", view["consents_above"])
    lines.append("Who saw or changed it, broken glass first:")
    lines += [f"  {each['at']}  {each['words']}" for each in view["disclosures"]]
    if view["not_asked"]:
        lines.append(f"Not heard, or not wholly: {', '.join(view['not_asked'])}")
    return lines


def render_report(report: dict[str, Any]) -> list[str]:
    """A report as lines for people."""
    lines = [
        f"Case {report['case']}: {report['resources']} resources destroyed at {report['node']}, {report['erased_at']}",
        "Their bytes are overwritten." if report["overwritten"] else "Their bytes are still being overwritten.",
        *_above("erasure", report["above"]),
        "What remains:",
    ]
    for each in report["remains"]:
        count = f"{each['count']} " if each["count"] is not None else ""
        lines.append(f"  {count}{each['what']}: {each['why']}; until {each['until']}")
    return lines


def _above(what: str, effect: dict[str, Any]) -> list[str]:
    """Who above has signed."""
    signed = sorted({each["node"] for notice in effect["notices"] for each in notice["signed"]})
    is_underway = effect["waiting"] or effect["unsent"]
    nobody = "nobody yet" if is_underway else "nobody had anything to be told"
    lines = [f"Signed for the {what} above: {', '.join(signed) or nobody}"]
    if is_underway:
        lines.append(f"Not yet: {', '.join(effect['waiting']) or 'it is still being sealed'}")
    return lines


def _identifier(arguments: argparse.Namespace) -> dict[str, str]:
    """The identity, typed unseen or read from the standard input."""
    return {"system": arguments.system, "value": typed_identity()}


def _print(arguments: argparse.Namespace, answer: dict[str, Any], render: Any) -> None:  # noqa: ANN401  # a function
    print(json.dumps(answer, ensure_ascii=False, indent=1) if arguments.json else "\n".join(render(answer)))


def _ask(arguments: argparse.Namespace, method: str, path: str, body: dict[str, Any] | None) -> dict[str, Any]:
    """The node's decoded answer to one request; raises as ``RegisteredClient.fetch``."""
    content = msgspec.json.encode(body) if body is not None else None
    raw = asyncio.run(connected(arguments, lambda client: client.fetch(method, path, content)))
    answer: dict[str, Any] = msgspec.json.decode(raw)
    return answer
