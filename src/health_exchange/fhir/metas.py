"""What may be added to a resource's ``meta`` and taken from it: profiles, tags and security labels, which are sets.

A tag or label is named by its system and code. Pure, on bytes: all that nobody names stays as it is, also in the sets.

Source: FHIR R4, section 2.26.3.4 "Resource Metadata"; OperationDefinitions Resource-meta-add and Resource-meta-delete.
"""

from health_exchange.fhir.arguments import read_arguments
from health_exchange.fhir.splicing import JsonBytes, fields, items, join_array, join_object, kind_of, text
from health_exchange.model.errors import Category, ExchangeError

SETS = ("profile", "security", "tag")


class BadMetaError(ExchangeError):
    """The operation's Parameters hold no profiles, tags or labels."""

    category = Category.INCORRECT
    code = "bad-meta"


def meta_in(raw: bytes) -> bytes:
    """The Meta in the Parameters of ``$meta-add`` or ``$meta-delete``.

    Raises:
        MalformedResourceError: The body is no Parameters of FHIR R4.
        BadMetaError: They are others.
    """
    given = read_arguments(raw)
    if len(given) != 1 or given[0].name != "meta" or "valueMeta" not in given[0].members:
        raise BadMetaError("the operation takes Parameters with one parameter, meta, that has a valueMeta")
    meta = bytes(fields(given[0].raw)["valueMeta"])
    if not fields(meta).keys() <= set(SETS):
        raise BadMetaError("profiles, tags and security labels are added and deleted, nothing else of a meta")
    if not all(all(_key(each)) for values in fields(meta).values() for each in items(values)):
        raise BadMetaError("a tag or security label that is added or deleted has a system and code")
    return meta


def with_meta(body: bytes, change: bytes, *, deletes: bool) -> bytes:
    """A resource with some profiles, tags and labels added, or without them.

    Args:
        body: The resource, checked.
        change: A Meta with what is to be added or deleted, checked.
        deletes: Which of the two.

    Raises:
        BadMetaError: It cannot be told which extensions would stay.
    """
    resource = fields(body)
    meta: dict[str, JsonBytes] = {**(fields(resource["meta"]) if "meta" in resource else {})}
    asked = fields(change)
    if "profile" in asked and "_profile" in meta:
        raise BadMetaError("extensions stand beside the profiles of this resource, each in its place: patch them")
    for name in [each for each in SETS if each in asked]:
        # A list: what is kept may hold codings of several versions, and such as are displays and nothing else.
        before = items(meta[name]) if name in meta else []
        named = {_key(each): each for each in items(asked[name])}
        there = {_key(each) for each in before}
        left = [each for each in before if _key(each) not in named]
        after = left if deletes else [*before, *(each for key, each in named.items() if key not in there)]
        # Where it stands already, so that all other members keep their order.
        meta[name] = join_array(after)
        if not after:
            del meta[name]
    return join_object({**resource, "meta": join_object(meta)})


def _key(raw: JsonBytes) -> tuple[str, ...]:
    """What makes two profiles, or two codings, one."""
    if kind_of(raw) != "{":
        return (text(raw),)
    members = fields(raw)
    return tuple(text(members[name]) if name in members else "" for name in ("system", "code"))
