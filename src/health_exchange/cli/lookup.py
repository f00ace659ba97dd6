"""``health-exchange lookup``: look a person up across the country, as a practitioner registered at a node.

The identity is typed at a prompt or read from standard input, never an argument: arguments stand in process lists and
shell histories.
"""

import argparse
import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from health_exchange.cli.client import RegisteredClient
from health_exchange.cli.connection import add_connection, connected, typed_identity
from health_exchange.model.purposes import Purpose
from health_exchange.pseudonym.identities import NATIONAL_ID_SYSTEMS

_PURPOSES = (Purpose.TREATMENT, Purpose.EMERGENCY_TREATMENT, Purpose.BREAK_THE_GLASS)


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command's words."""
    parser = subparsers.add_parser(
        "lookup", help="look a person up across the country; the identity is asked for, or read from standard input"
    )
    add_connection(parser)
    parser.add_argument("--purpose", choices=[str(each) for each in _PURPOSES], default="TREAT")
    parser.add_argument("--reason", default="", help="in words, for breaking the glass (BTG)")
    parser.add_argument("--system", default=min(NATIONAL_ID_SYSTEMS), help="of the identity (default: national ID)")
    parser.add_argument("--type", action="append", default=[], help="resource type that is wanted; may be repeated")
    parser.add_argument("--start", default="", help="first day, 2026-01-31")
    parser.add_argument("--end", default="", help="last day")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the Bundle, originals and all")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Look up and print; 0 where everybody who was asked has answered in full, 1 otherwise."""
    parameters = lookup_parameters(
        typed_identity(),
        system=arguments.system,
        purpose=arguments.purpose,
        reason=arguments.reason,
        types=arguments.type,
        start=arguments.start,
        end=arguments.end,
    )
    raw = asyncio.run(connected(arguments, lambda client: look_up(client, parameters)))
    if arguments.json is not None:
        arguments.json.touch(mode=0o600)
        arguments.json.chmod(0o600)
        arguments.json.write_bytes(raw)
    bundle = msgspec.json.decode(raw)
    print("\n".join(lookup_lines(bundle)))
    return 1 if any(issue["severity"] == "warning" for issue in issues_of(bundle)) else 0


def lookup_parameters(  # the parts of a look-up
    identity: str, *, system: str, purpose: str, reason: str = "", types: list[str], start: str = "", end: str = ""
) -> bytes:
    """The Parameters of ``Patient/$everything``."""
    given: list[dict[str, object]] = [
        {
            "name": "resource",
            "resource": {"resourceType": "Patient", "identifier": [{"system": system, "value": identity}]},
        },
        {"name": "purpose", "valueCode": purpose},
    ]
    given += [{"name": "_type", "valueCode": each} for each in types]
    for name, member, value in (
        ("reason", "valueString", reason),
        ("start", "valueDate", start),
        ("end", "valueDate", end),
    ):
        if value:
            given.append({"name": name, member: value})
    return msgspec.json.encode({"resourceType": "Parameters", "parameter": given})


def lookup_lines(bundle: Mapping[str, Any]) -> list[str]:
    """The Bundle for people: what came from where, then what is missing and why."""
    counts: dict[tuple[str, str], int] = {}
    for entry in bundle["entry"]:
        resource = entry["resource"]
        if resource["resourceType"] != "OperationOutcome":
            source = str(resource.get("meta", {}).get("source", "")).removeprefix("urn:health-exchange:")
            counts[source, resource["resourceType"]] = counts.get((source, resource["resourceType"]), 0) + 1
    lines = [f"{source}: {number} {kind}" for (source, kind), number in sorted(counts.items())]
    return [*(lines or ["nothing"]), *(f"{issue['severity']}: {issue['diagnostics']}" for issue in issues_of(bundle))]


def issues_of(bundle: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What the Bundle says of itself."""
    outcomes = [entry["resource"] for entry in bundle["entry"] if entry["search"]["mode"] == "outcome"]
    return [issue for outcome in outcomes for issue in outcome["issue"]]


async def look_up(client: RegisteredClient, parameters: bytes) -> bytes:
    """The Bundle that a registered client gets; raises as ``RegisteredClient.fetch``."""
    return await client.fetch("POST", "/fhir/Patient/$everything", parameters, media_type="application/fhir+json")
