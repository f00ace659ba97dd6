"""Searchset Bundles, joined from the very bytes that are kept.

Source: FHIR R4, section 3.1.1.2 "The search result" and Bundle.
"""

from collections.abc import Mapping, Sequence

from health_exchange.fhir.splicing import JsonBytes, fields, join_array, join_object, quote
from health_exchange.store.resources import StoredResource


def searchset(  # the parts of a Bundle
    resources: Sequence[StoredResource],
    *,
    base: str,
    total: int | None,
    links: Mapping[str, str],
    mode: str = "match",
    included: Sequence[StoredResource] = (),
    outcome: JsonBytes | None = None,
) -> bytes:
    """The Bundle.

    Args:
        resources: What was found, opened.
        base: The door's base URL.
        total: How many there are on all pages; ``None`` where that was not counted.
        links: URLs by relation (``self``, ``next``).
        mode: Why these entries are in it; empty for what is no search.
        included: What comes beside them.
        outcome: An OperationOutcome about the search itself.
    """
    members: dict[str, JsonBytes] = {"resourceType": b'"Bundle"', "type": b'"searchset"'}
    if total is not None:
        members["total"] = str(total).encode()
    if links:
        members["link"] = join_array(
            join_object({"relation": quote(relation), "url": quote(url)}) for relation, url in links.items()
        )
    entries = [_entry(kept, base, mode) for kept in resources]
    entries += [_entry(kept, base, "include") for kept in included]
    if outcome is not None:
        entries.append(join_object({"resource": outcome, "search": b'{"mode":"outcome"}'}))
    if entries:
        members["entry"] = join_array(entries)
    return join_object(members)


def with_source(kept: StoredResource, *, here: str) -> bytes:
    """The resource's bytes, naming the node it comes from in ``meta.source``.

    Above its origin the origin has done so; what a facility has put there is not the exchange's source.

    Args:
        kept: Opened.
        here: Address of this node.
    """
    body = kept.body or b""
    members = fields(body)
    meta = fields(members["meta"]) if "meta" in members else {}
    if "source" in meta and kept.origin != here:
        return body
    named: dict[str, JsonBytes] = {**meta, "source": quote(f"urn:health-exchange:{kept.origin}")}
    return join_object({**members, "meta": join_object(named)})


def _entry(kept: StoredResource, base: str, mode: str) -> bytes:
    """One entry."""
    members: dict[str, JsonBytes] = {
        "fullUrl": quote(f"{base}/{kept.type}/{kept.id}"),
        "resource": kept.body or b"null",
    }
    if mode:
        members["search"] = join_object({"mode": quote(mode)})
    return join_object(members)
