"""``health-exchange audit``: who did what with whose record, asked of one node or of all, and proven offline."""

import argparse
import asyncio
from pathlib import Path
from typing import Any

from health_exchange.audit.answers import LogAnswer
from health_exchange.audit.entries import decode_entry
from health_exchange.audit.evidence_verification import is_evidence, render_evidence, verify_evidence
from health_exchange.audit.proof_verification import verify_proof
from health_exchange.audit.verification import render_report, verify_folder
from health_exchange.audit.wording import line, paragraph
from health_exchange.cli import reconcile
from health_exchange.cli.auditor import (
    AuditorClient,
    add_question,
    entries_of,
    question_of,
)
from health_exchange.cli.client import BadRequestError
from health_exchange.cli.connection import add_connection, connected
from health_exchange.wiring.inspection import export_log, write_files
from health_exchange.wiring.settings import read_settings

DONE, WRONG, BAD, INCOMPLETE = 0, 1, 2, 3


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command's words."""
    parser = subparsers.add_parser("audit", help="read, prove, export and verify tamper-evident logs")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    listing = commands.add_parser("list", help="entries of one node's log or of all; exit 3 if a node did not answer")
    add_connection(listing)
    add_question(listing)
    listing.add_argument("--count", type=int, default=100, help="at most so many entries of each node")
    listing.add_argument("--before", type=int, help="go on below this position, where a node had more")
    listing.set_defaults(run=run_list)
    for name, run, told in (
        ("show", run_show, "one entry in words, and where else its request left entries"),
        ("prove", run_prove, "one entry with everything that proves it, for verify"),
    ):
        one = commands.add_parser(name, help=told)
        add_connection(one)
        one.add_argument("position", type=int, help="the entry's place in the log, as list shows it after #")
        one.add_argument("--node", default="", help="address of the node whose log it is; the one asked by default")
        one.set_defaults(run=run)
        if name == "prove":
            one.add_argument("--out", type=Path, help="a new file; printed where none is named")
    evidence = commands.add_parser("evidence", help="a folder of entries with proofs and a page to read")
    add_connection(evidence)
    add_question(evidence)
    evidence.add_argument("--out", type=Path, required=True, help="a folder that does not exist yet")
    evidence.set_defaults(run=run_evidence)
    reconcile.add_parser(commands)
    export = commands.add_parser("export", help="write a node's whole log as a folder that verifies offline")
    export.add_argument("--settings", type=Path, required=True, help="the node's TOML file")
    export.add_argument("folder", type=Path, help="a folder that does not exist yet")
    export.set_defaults(run=run_export)
    verify = commands.add_parser("verify", help="verify an exported log, evidence or a proof; needs nothing else")
    verify.add_argument("folder", type=Path, help="a folder, or the file of a proof")
    verify.set_defaults(run=run_verify)


def run_list(arguments: argparse.Namespace) -> int:
    """Print the entries found, the latest first, then who is missing."""
    body = question_of(arguments) | {"count": arguments.count, "before": arguments.before}
    answer = asyncio.run(connected(arguments, lambda client: AuditorClient(client).search(body)))
    found = sorted(entries_of(answer), key=lambda pair: (pair[0].at, pair[1]), reverse=True)
    for entry, position in found:
        print(line(entry, position))
    print(f"{len(found)} entries of {len(answer.replies)} nodes, each proven against its log's checkpoint")
    if answer.person:
        print(f"about the person {answer.person}; request {answer.request_id}")
    return _tell_missing(answer)


def run_show(arguments: argparse.Namespace) -> int:
    """Print one entry in words, and the entries of the same request anywhere."""
    answer, hops = asyncio.run(connected(arguments, lambda client: _show(AuditorClient(client), arguments)))
    [(entry, position)] = entries_of(answer)
    print(paragraph(entry, position))
    if hops is None:
        return DONE
    print("\nthe same request, everywhere:")
    for hop, at in sorted(entries_of(hops), key=lambda pair: (pair[0].at, pair[0].node)):
        print(f"  {line(hop, at)}")
    return _tell_missing(hops)


async def _show(client: AuditorClient, arguments: argparse.Namespace) -> tuple[LogAnswer, LogAnswer | None]:
    """The entry, and whatever else its request left."""
    answer = await client.entry(arguments.position, arguments.node)
    [(entry, _position)] = entries_of(answer)
    if not entry.request_id:
        return answer, None
    return answer, await client.search({"question": {"request_id": entry.request_id}, "everywhere": True})


def run_prove(arguments: argparse.Namespace) -> int:
    """Write or print one entry's proof, once it is seen to hold."""
    raw = asyncio.run(
        connected(arguments, lambda client: AuditorClient(client).proof(arguments.position, arguments.node))
    )
    proof = verify_proof(raw)
    if proof.problem:
        print(f"the node's proof does not hold: {proof.problem}")
        return WRONG
    if arguments.out is None:
        print(raw.decode(), end="")
        return DONE
    refuse_existing(arguments.out)
    arguments.out.write_bytes(raw)
    print(f"entry {proof.position} of {proof.origin}, {len(proof.cosigned_by)} cosignatures, in {arguments.out}")
    return DONE


def run_evidence(arguments: argparse.Namespace) -> int:
    """Write an evidence folder, once it is seen to verify."""
    refuse_existing(arguments.out)
    body: dict[str, Any] = question_of(arguments)
    files = asyncio.run(connected(arguments, lambda client: AuditorClient(client).evidence(body)))
    report = verify_evidence(files)
    print(render_evidence(report))
    if report.failures:
        return WRONG
    write_files(arguments.out, files)
    print(f"{len(files)} files in {arguments.out}; open report.html")
    return INCOMPLETE if report.missing else DONE


def run_export(arguments: argparse.Namespace) -> int:
    """Write the folder; the export itself is an entry of the log."""
    refuse_existing(arguments.folder)
    files = export_log(read_settings(arguments.settings))
    write_files(arguments.folder, files)
    print(f"{len(files)} files in {arguments.folder}")
    return DONE


def run_verify(arguments: argparse.Namespace) -> int:
    """Say what was verified and what is wrong; 1 if anything is."""
    if arguments.folder.is_file():
        return _verify_proof(arguments.folder.read_bytes())
    files = read_files(arguments.folder)
    if not files:
        print(f"{arguments.folder} holds no exported log")
        return BAD
    if is_evidence(files):
        evidence = verify_evidence(files)
        print(render_evidence(evidence))
        return WRONG if evidence.failures else DONE
    report = verify_folder(files)
    print(render_report(report))
    return WRONG if report.failures else DONE


def _verify_proof(raw: bytes) -> int:
    """Say what a single proof shows."""
    proof = verify_proof(raw)
    if proof.problem:
        print(f"Not proven: {proof.problem}")
        return WRONG
    print(f"Entry {proof.position} stands in the log of {proof.origin}, {proof.size} entries long when it was signed.")
    print(f"Key of the log: {proof.public_key.hex()}")
    print(f"Cosigned by: {', '.join(proof.cosigned_by) or 'nobody yet'}\n")
    print(paragraph(decode_entry(proof.entry), proof.position))
    return DONE


def refuse_existing(path: Path) -> None:
    """Nothing is written over.

    Raises:
        BadRequestError: ``path`` exists.
    """
    if path.exists():
        raise BadRequestError(f"{path} exists already")


def read_files(folder: Path) -> dict[str, bytes]:
    """Every file of a folder by its path."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()
    }


def _tell_missing(answer: LogAnswer) -> int:
    """Name the nodes whose entries are missing; the exit code says so, too."""
    for reply in answer.replies:
        if reply.withheld:
            print(f"{reply.node}: {reply.withheld} entries looked at are past retention; what they said was destroyed")
    for reply in answer.incomplete:
        print(f"NOT COMPLETE: {reply.node} {reply.outcome}: {reply.detail}")
    return INCOMPLETE if answer.incomplete else DONE
