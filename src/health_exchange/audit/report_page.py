"""An evidence folder's readable report: one HTML page that opens offline, runs nothing and fetches nothing.

Every text in it is escaped: entries hold what clients called themselves.
"""

from collections.abc import Iterable, Sequence
from html import escape

from health_exchange.audit.answers import LogAnswer, NodeReply
from health_exchange.audit.entries import AuditEntry, decode_entry
from health_exchange.audit.wording import PURPOSES, did

_STYLE = (
    "body{font:15px/1.5 system-ui,sans-serif;max-width:70rem;margin:2rem auto;padding:0 1rem;color:#222}"
    "table{border-collapse:collapse;width:100%;margin:1rem 0}td,th{border:1px solid #ccc;padding:.3rem .5rem;"
    "text-align:left;vertical-align:top}th{background:#f3f3f3}code{word-break:break-all}.missing{background:#fff0f0}"
)
# Said to the browser as well, should anything ever slip through the escaping.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'"


def report_page(answer: LogAnswer) -> bytes:
    """The page for one answer, in UTF-8."""
    found = sorted(
        ((decode_entry(bytes(proven.entry)), proven.position) for reply in answer.replies for proven in reply.entries),
        key=lambda pair: (pair[0].at, pair[0].node, pair[1]),
    )
    missing = answer.incomplete
    whose = f"about the person <code>{escape(answer.person)}</code>" if answer.person else "about no single person"
    verdict = (
        f"<p class=missing><strong>Incomplete.</strong> {len(missing)} of {len(answer.replies)} nodes did not give all "
        "their entries; they are marked below. What they know is not in this report.</p>"
        if missing
        else f"<p>All {len(answer.replies)} nodes asked gave all their entries.</p>"
    )
    parts = [
        "<!doctype html>\n<html lang=en><head><meta charset=utf-8>",
        f'<meta http-equiv="Content-Security-Policy" content="{escape(_POLICY)}">',
        f"<title>Audit evidence {escape(answer.request_id)}</title><style>{_STYLE}</style></head><body>",
        f"<h1>Audit evidence</h1><p>Entries {whose}, asked for on {escape(answer.at)} by the node",
        f" <code>{escape(answer.asker)}</code>, request <code>{escape(answer.request_id)}</code>.</p>",
        verdict,
        f"<h2>{len(found)} entries, the earliest first</h2>",
        _table(("When", "Log, entry", "Who", "Did what", "Why", "Outcome", "Request"), map(_entry_row, found)),
        "<h2>Nodes asked</h2>",
        _table(("Node", "Answer", "Entries", "Key of its log"), map(_node_row, answer.replies), answer.replies),
        "<h2>How to check this</h2><p>Run <code>health-exchange audit verify FOLDER</code> on the folder that this ",
        "page lies in; it needs nothing else. Then compare the keys above with the network's directory: a folder can ",
        "only prove that it is consistent with the keys it names. A proof shows that an entry stands in a log; that a ",
        "node left none out, only an export of its whole log shows.</p></body></html>\n",
    ]
    return "".join(parts).encode()


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]], replies: Sequence[NodeReply] = ()) -> str:
    """A table of escaped cells; a row of a node that is missing is marked."""
    marks = [" class=missing" if reply.outcome != "answered" else "" for reply in replies]
    body = [
        f"<tr{marks[number] if marks else ''}>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>"
        for number, row in enumerate(rows)
    ]
    return f"<table><tr>{''.join(f'<th>{escape(head)}</th>' for head in heads)}</tr>{''.join(body)}</table>"


def _entry_row(found: tuple[AuditEntry, int]) -> Sequence[str]:
    """One entry's cells."""
    entry, position = found
    who = f"{entry.principal_kind} {entry.principal}".strip()
    organization = f", organisation {entry.organization}" if entry.organization else ""
    what = f"{did(entry)}{f': {entry.summary}' if entry.summary else ''}"
    return (
        entry.at,
        f"{entry.node} #{position}",
        f"{who}{organization}{f', via {entry.peer}' if entry.peer and entry.peer != entry.principal else ''}",
        what,
        PURPOSES.get(entry.purpose, entry.purpose),
        f"{entry.outcome}{f': {entry.reason}' if entry.reason else ''}",
        entry.request_id,
    )


def _node_row(reply: NodeReply) -> Sequence[str]:
    """One node's cells."""
    answer = f"{reply.outcome}{f': {reply.detail}' if reply.detail else ''}"
    if reply.withheld:
        answer += f"; {reply.withheld} entries are past retention, what they said was destroyed"
    return reply.node, answer, str(len(reply.entries)), reply.keys.public_key.hex()
