"""The read-only status page: the tree at a glance, who is behind, why, since when. Plain HTML, made anew at each look.

No script and nothing from elsewhere: the page says so to the browser, and needs neither.
"""

from collections.abc import Sequence
from datetime import datetime
from html import escape

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from health_exchange.console.style import STYLE
from health_exchange.node.network import NetworkStatus, TreeRow, network_status, rows_of
from health_exchange.node.parts import NodeParts
from health_exchange.node.status import NodeStatus
from health_exchange.node.troubles import in_words

_NUMBERS = ("received", "sent on", "opened", "kept", "persons", "held back", "on the way", "lag", "log")
_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
}
_SIGNS = {"ok": "●", "degraded": "▲", "behind": "▲", "not ready": "■", "away": "■"}
"""Shapes, for whoever does not tell the colours apart."""


def status_page_routes(parts: NodeParts) -> list[Route]:
    """The page of a node and what lies below it."""

    async def page(_request: Request) -> Response:
        return HTMLResponse(render(await network_status(parts), parts), headers=_HEADERS)

    return [Route("/status", page, methods=["GET"])]


def render(network: NetworkStatus, parts: NodeParts) -> str:
    """The page's HTML."""
    rows, now = rows_of(network), parts.clock.now()
    title = escape(parts.card.name)
    body = "".join(_row(row, now) for row in rows)
    headings = "".join(f"<th scope=col>{heading}</th>" for heading in _NUMBERS)
    return (
        "<!doctype html><html lang=en><meta charset=utf-8>"
        '<meta name=viewport content="width=device-width, initial-scale=1"><meta http-equiv=refresh content=5>'
        f"<title>{title}: {_summary(rows)}</title><style>{STYLE}</style>"
        f"<header><h1>{title}</h1><p>{escape(str(parts.address))} and what lies below it · "
        f"<time>{now:%Y-%m-%d %H:%M:%S} UTC</time></p></header><main>{_tiles(rows)}"
        f"<div class=frame><table><thead><tr><th scope=col>node</th><th scope=col class=word>condition</th>{headings}"
        f"</tr></thead><tbody>{body}</tbody></table></div></main>"
        "<footer>Counts only; nothing here is about one person. The same as data: <code>/operator/v1/network</code>, "
        "<code>/metrics</code>, <code>/health/ready</code>.</footer></html>"
    )


def _summary(rows: Sequence[TreeRow]) -> str:
    wrong = sum(bool(row.troubles) for row in rows)
    return f"{wrong} of {len(rows)} nodes are not well" if wrong else f"all {len(rows)} nodes are well"


def _tiles(rows: Sequence[TreeRow]) -> str:
    """What one sees first: how many nodes are in which condition, and what is on the way."""
    there = [row.status for row in rows if row.status is not None]
    conditions = [row.condition for row in rows]
    tiles = [
        ("nodes", str(len(rows)), ""),
        ("ok", str(conditions.count("ok")), "ok"),
        ("degraded", str(conditions.count("degraded")), "degraded"),
        ("behind", str(conditions.count("behind")), "behind"),
        ("not ready", str(conditions.count("not ready")), "not-ready"),
        ("away", str(conditions.count("away")), "away"),
        ("envelopes waiting", f"{sum(node.undelivered for node in there):,}", ""),
        ("slowest lag", f"{max((node.lag_s for node in there), default=0):.2f} s", ""),
    ]
    return "<ul class=tiles>" + "".join(_tile(*tile) for tile in tiles) + "</ul>"


def _tile(name: str, value: str, kind: str) -> str:
    """One number; grey where it says that there is nothing to see."""
    quiet = kind not in {"", "ok"} and value == "0"
    return f'<li class="{"quiet" if quiet else kind}"><b>{value}</b><span>{name}</span></li>'


def _row(row: TreeRow, now: datetime) -> str:
    """One node's line, indented by its depth, and what is wrong with it beneath."""
    kind = row.condition.replace(" ", "-")
    cells = [""] * len(_NUMBERS) if row.status is None else _cells(row.status)
    numbers = "".join(f"<td>{cell}</td>" for cell in cells)
    tier = f" · {escape(row.status.tier)}" if row.status is not None else ""
    line = (
        f'<tr class="{kind}"><th scope=row style="--depth:{row.depth}">{escape(row.name)}'
        f"<small>{escape(row.address)}{tier}</small></th>"
        f"<td class=word><span class=pill>{_SIGNS[row.condition]} {escape(row.condition)}</span></td>{numbers}</tr>"
    )
    if not row.troubles:
        return line
    told = "".join(f"<li>{escape(in_words(trouble, now))}</li>" for trouble in row.troubles)
    span = f'colspan={2 + len(_NUMBERS)} style="--depth:{row.depth}"'
    return f'{line}<tr class="why {kind}"><td {span}><ul>{told}</ul></td></tr>'


def _cells(node: NodeStatus) -> list[str]:
    """A node's numbers."""
    held = "".join(f"<small>{count:,} {escape(reason)}</small>" for reason, count in sorted(node.held.items()))
    cosigned = len(node.log.cosigned_by)
    return [
        f"{node.received:,}",
        f"{node.forwarded:,}",
        f"{node.opened:,}",
        f"{node.resources:,}",
        f"{node.persons:,}",
        f"{sum(node.held.values()):,}{held}",
        f"{node.undelivered + node.awaited:,}",
        f"{node.lag_s:.2f} s" if node.opened else "–",
        f"{node.log.size:,}<small>{cosigned} cosignature{'' if cosigned == 1 else 's'}</small>",
    ]
