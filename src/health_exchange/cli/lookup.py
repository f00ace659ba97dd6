"""``health-exchange lookup``: look a person up across the country, as a practitioner registered at a node.

The identity is typed at a prompt or read from standard input, never an argument: arguments stand in process lists and
shell histories.
"""

import argparse
import asyncio
import ssl
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx
import msgspec

from health_exchange.cli.auditor import ASK, add_connection, read_identity_of
from health_exchange.cli.client import RegisteredClient
from health_exchange.model.errors import Category, ExchangeError, UnavailableError
from health_exchange.model.purposes import Purpose
from health_exchange.pseudonym.identities import NATIONAL_ID_SYSTEMS

TIMEOUT_S = 30.0
_PURPOSES = (Purpose.TREATMENT, Purpose.EMERGENCY_TREATMENT, Purpose.BREAK_THE_GLASS)


class LookupRefusedError(ExchangeError):
    """The node refuses the look-up; ``detail`` says why."""

    category = Category.FORBIDDEN
    code = "look-up-refused"


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
        read_identity_of(ASK if sys.stdin.isatty() else "-"),
        system=arguments.system,
        purpose=arguments.purpose,
        reason=arguments.reason,
        types=arguments.type,
        start=arguments.start,
        end=arguments.end,
    )
    raw = asyncio.run(_ask(arguments, parameters))
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
            source = resource["meta"]["source"].removeprefix("urn:health-exchange:")
            counts[source, resource["resourceType"]] = counts.get((source, resource["resourceType"]), 0) + 1
    lines = [f"{source}: {number} {kind}" for (source, kind), number in sorted(counts.items())]
    return [*(lines or ["nothing"]), *(f"{issue['severity']}: {issue['diagnostics']}" for issue in issues_of(bundle))]


def issues_of(bundle: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What the Bundle says of itself."""
    outcomes = [entry["resource"] for entry in bundle["entry"] if entry["search"]["mode"] == "outcome"]
    return [issue for outcome in outcomes for issue in outcome["issue"]]


async def _ask(arguments: argparse.Namespace, parameters: bytes) -> bytes:
    """The node's answer.

    Raises:
        LookupRefusedError: It refuses.
        UnavailableError: It does not answer, or cannot now.
    """
    trust = ssl.create_default_context(cafile=str(arguments.ca))
    problem = ""
    async with httpx.AsyncClient(verify=trust, trust_env=False, timeout=TIMEOUT_S) as http:
        client = RegisteredClient(
            client_id=arguments.client_id,
            private_key_pem=arguments.key.read_bytes(),
            base_url=arguments.url.rstrip("/").removesuffix("/fhir"),
            http=http,
        )
        try:
            return await look_up(client, parameters)
        except httpx.HTTPError as error:
            problem = type(error).__name__
    raise UnavailableError(f"{arguments.url} does not answer: {problem}")


async def look_up(client: RegisteredClient, parameters: bytes) -> bytes:
    """The Bundle that a registered client gets.

    Raises:
        LookupRefusedError: The node refuses.
        UnavailableError: It cannot look up now.
    """
    answer = await client.http.post(
        f"{client.base_url}/fhir/Patient/$everything",
        content=parameters,
        headers={"Authorization": f"Bearer {await client.token()}", "Content-Type": "application/fhir+json"},
    )
    if answer.is_success:
        return answer.content
    issue = msgspec.json.decode(answer.content)["issue"][0]
    if answer.is_server_error:
        raise UnavailableError(issue.get("diagnostics", "the node cannot look up now"))
    raise LookupRefusedError(issue.get("diagnostics", "the node refuses"))
