"""``health-exchange audit reconcile``: what logs say of each other, asked over HTTPS or read from exports."""

import argparse
import asyncio
import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import msgspec

from health_exchange.audit.answers import ANSWERED, PARTIAL, UNPROVEN, LogAnswer, NodeReply
from health_exchange.audit.entries import AuditEntry, decode_entry
from health_exchange.audit.export import ExportedEntry
from health_exchange.audit.reconciliation import KINDS, TOLERANCE, reconcile, render
from health_exchange.audit.verification import verify_folder
from health_exchange.cli.auditor import AuditorClient
from health_exchange.cli.client import BadRequestError
from health_exchange.cli.connection import add_connection, connected

PAGE = 500
DONE, WRONG, INCOMPLETE = 0, 1, 3


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command's words."""
    parser = commands.add_parser(
        "reconcile", help="evaluations at key holders against what was delivered and looked up; exit 1 if misuse shows"
    )
    add_connection(parser, required=False)
    parser.add_argument("folders", type=Path, nargs="*", help="exported logs of all nodes, in place of asking them")
    parser.add_argument("--threshold", type=int, default=2, help="with folders: key holders it takes; 2 by default")
    parser.add_argument("--since", default="", metavar="DATE", help="first day to judge, 2026-11-24")
    parser.add_argument("--tolerance", type=int, default=TOLERANCE, help="what nobody has to explain, a day")
    parser.add_argument("--json", type=Path, help="write the result for programs, too")
    parser.set_defaults(run=run_reconcile)


def run_reconcile(arguments: argparse.Namespace) -> int:
    """Print the days in numbers and what stands out; 1 if anything does, 3 if logs are missing."""
    if arguments.folders:
        entries, logs, missing = read_exports(arguments.folders)
        threshold = arguments.threshold
    else:
        if not all((arguments.url, arguments.ca, arguments.client_id, arguments.key)):
            raise BadRequestError("name exported folders, or --url, --ca, --client-id and --key of a node to ask")
        answer, missing = asyncio.run(connected(arguments, lambda client: gather(AuditorClient(client))))
        entries = [decode_entry(bytes(proven.entry)) for reply in answer.replies for proven in reply.entries]
        logs = frozenset(reply.node for reply in answer.replies if reply.outcome == ANSWERED)
        # A key holder that is away cannot show what it logged.
        threshold = max(1, answer.threshold - len(set(answer.holders) - logs))
    result = reconcile(entries, logs=logs, threshold=threshold, since=arguments.since, tolerance=arguments.tolerance)
    print(render(result))
    for each in missing:
        print(f"NOT COMPLETE: {each}; what its log would explain looks unexplained")
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(asdict(result) | {"missing": missing}, indent=2))
    if result.suspicions:
        return WRONG
    return INCOMPLETE if missing else DONE


async def gather(client: AuditorClient) -> tuple[LogAnswer, list[str]]:
    """The entries of all logs that reconciliation looks at, page by page; and whose are not all there."""
    question = {"kinds": list(KINDS)}
    answer = await client.search({"question": question, "everywhere": True, "count": PAGE})
    replies = []
    for first in answer.replies:
        reply = first
        while reply.outcome == PARTIAL:
            body = {"question": question, "nodes": [reply.node], "before": reply.before, "count": PAGE}
            [more] = (await client.search(body)).replies
            if more.before is not None and reply.before is not None and more.before >= reply.before:
                more = msgspec.structs.replace(more, outcome=UNPROVEN, detail="it repeats itself")
            kept = [*reply.entries, *more.entries]
            reply = msgspec.structs.replace(more, entries=kept, checkpoints=[])
        replies.append(reply)
    return msgspec.structs.replace(answer, replies=replies), [_missing(each) for each in replies if _missing(each)]


def read_exports(folders: list[Path]) -> tuple[list[AuditEntry], frozenset[str], list[str]]:
    """The entries of exported logs, the nodes they are of, and what of them is wrong or past retention."""
    entries: list[AuditEntry] = []
    logs, missing = set[str](), list[str]()
    for folder in folders:
        files = {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
        report = verify_folder(files)
        if report.failures:
            first = report.failures[0]
            missing.append(f"{folder} does not verify ({first.where}: {first.what})")
            continue
        opened = list(_opened(files))
        entries += opened
        logs |= {entry.node for entry in opened}
        if report.withheld:
            missing.append(f"{folder}: {report.withheld} entries are past retention")
    return entries, frozenset(logs), missing


def _opened(files: dict[str, bytes]) -> Iterator[AuditEntry]:
    """The opened entries of a verified folder."""
    for path in sorted(path for path in files if path.startswith("entries/")):
        for raw in files[path].splitlines():
            line = msgspec.json.decode(raw, type=ExportedEntry)
            if line.salt is not None:
                yield decode_entry(bytes(line.entry))


def _missing(reply: NodeReply) -> str:
    """Why a node's entries are not all there; empty if they are."""
    return "" if reply.outcome == ANSWERED else f"{reply.node} {reply.outcome}: {reply.detail}"
