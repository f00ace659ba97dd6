"""The read-only status page: the tree, counts, freshness, log heads. Plain HTML, made anew at each look."""

from html import escape

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from health_exchange.node.network import NetworkStatus, network_status
from health_exchange.node.parts import NodeParts
from health_exchange.node.status import NodeStatus

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 76rem; padding: 0 1rem; color: #1d2733 }
table { border-collapse: collapse; width: 100% } th, td { text-align: right; padding: .35rem .6rem }
th:first-child, td:first-child { text-align: left } th { border-bottom: 2px solid #8aa; font-weight: 600 }
tr + tr td { border-top: 1px solid #dde3e8 } code { font-size: 12px; color: #567 } .away { color: #a30 }
.held { text-align: left; font-size: 13px; color: #567 }
"""
_HEADINGS = ("node", "received", "sent on", "opened", "kept", "persons", "held back", "on the way", "lag", "log")


def status_page_routes(parts: NodeParts) -> list[Route]:
    """The page of a node and what lies below it."""

    async def page(_request: Request) -> Response:
        return HTMLResponse(render(await network_status(parts), parts), headers={"Cache-Control": "no-store"})

    return [Route("/status", page, methods=["GET"])]


def render(network: NetworkStatus, parts: NodeParts) -> str:
    """The page's HTML."""
    rows = "".join(_row(node) for node in network.nodes)
    away = "".join(
        f'<tr><td class="away">{escape(address)}</td><td colspan="9" class="away">does not answer</td></tr>'
        for address in network.away
    )
    headings = "".join(f"<th>{heading}</th>" for heading in _HEADINGS)
    return (
        "<!doctype html><html lang=en><meta charset=utf-8>"
        '<meta name=viewport content="width=device-width"><meta http-equiv=refresh content=5>'
        f"<title>health_exchange: {escape(parts.card.name)}</title><style>{_STYLE}</style>"
        f"<h1>{escape(parts.card.name)}</h1><p>{escape(str(parts.address))} and what lies below it, "
        f"at {parts.clock.now():%Y-%m-%d %H:%M:%S} UTC. Counts only; nothing here is about one person.</p>"
        f"<table><tr>{headings}</tr>{rows}{away}</table></html>"
    )


def _row(node: NodeStatus) -> str:
    """One node's line, indented by its depth."""
    indent = "&emsp;" * node.address.count("/")
    held = ", ".join(f"{count} {reason}" for reason, count in sorted(node.held.items())) or "none"
    log = f"{node.log.size} entries<br><code>{len(node.log.cosigned_by)} cosignatures</code>"
    cells = (
        f"{indent}{escape(node.name)}<br>{indent}<code>{escape(node.address)} · {escape(node.tier)}</code>",
        str(node.received),
        str(node.forwarded),
        str(node.opened),
        str(node.resources),
        str(node.persons),
        f'<span class="held">{escape(held)}</span>',
        str(node.undelivered + node.awaited),
        f"{node.lag_s:.2f} s",
        log,
    )
    return "<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>"
