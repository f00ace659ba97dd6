"""Current resources, their history and their search tokens.

A resource is one wide row; a new version moves the row before it into ``history``. Tokens find candidates only: whoever
asks checks them again on the opened body.
"""

from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import Row, Select, bindparam, insert, select, update

from health_exchange.crypto.sealing import NONCE_BYTES
from health_exchange.model.errors import Category, ExchangeError
from health_exchange.model.identifiers import Pseudonym
from health_exchange.model.sensitivity import ResourceClass, class_of
from health_exchange.store import feed, generations, subjects, tallies, token_index
from health_exchange.store.among import among, pair_among, rows_among
from health_exchange.store.bodies import SealedBody, seal_packed
from health_exchange.store.classes import intern
from health_exchange.store.schema import VERSION_COLUMNS, classes, history, resources
from health_exchange.store.schema import subjects as subjects_table
from health_exchange.store.token_lists import kept_tokens
from health_exchange.store.transaction import Transaction


class StaleVersionError(ExchangeError):
    """The current version is not the one the writer had read."""

    category = Category.CONFLICT
    code = "stale-version"


class NewVersion(msgspec.Struct, frozen=True, kw_only=True):
    """One version to keep.

    Attributes:
        sid: Its subject; ``None`` for a directory resource.
        origin: Address of the node that alone changes it.
        instant: Clinical date, for order.
        tokens: Search tokens (``store.tokens``).
        packed: The body as ``bodies.pack_body`` made it, outside the writer; ``None`` for a tombstone.
        expected: Version that must be current, 0 for none; ``None`` does not check.
    """

    type: str
    id: str
    sid: int | None
    origin: str
    version: int
    resource_class: ResourceClass
    changed_at: str
    instant: str | None
    tokens: Sequence[int] = ()
    packed: bytes | None = None
    expected: int | None = None


class Head(NamedTuple):
    """What is current under a name, not opened: row, version, origin, subject, and whether it is a tombstone."""

    rid: int
    version: int
    origin: str
    sid: int
    deleted: bool


class StoredResource(msgspec.Struct, frozen=True, kw_only=True):
    """One version as kept, opened; ``body`` is ``None`` where it is deleted, ``pseudonym`` where nobody is known."""

    rid: int
    type: str
    id: str
    sid: int
    origin: str
    version: int
    resource_class: ResourceClass
    changed_at: str
    instant: str | None
    deleted: bool
    body: bytes | None
    pseudonym: Pseudonym | None = None


Sealed = tuple[StoredResource, SealedBody | None]
_FIELDS = ("rid", *VERSION_COLUMNS)
_CURRENT_COLUMNS = (*VERSION_COLUMNS, "tokens")
_UPDATE = (
    update(resources)
    .where(resources.c.rid == bindparam("row"))
    .values({name: bindparam(f"to_{name}") for name in _CURRENT_COLUMNS})
)
_HEADS = select(
    resources.c.id, resources.c.rid, resources.c.version, resources.c.origin, resources.c.sid, resources.c.deleted
).where(resources.c.type == bindparam("type"), among(resources.c.id, "ids"))
_OF_RIDS = among(resources.c.rid, "rids")
_ARCHIVE = insert(history).from_select(_FIELDS, select(*[resources.c[name] for name in _FIELDS]).where(_OF_RIDS))
_ALIVE = select(resources.c.rid).where(_OF_RIDS)


def _joined(table: Any) -> Any:  # noqa: ANN401  # a table or its twin, and a SELECT over it
    return (
        select(
            *[table.c[name] for name in _FIELDS],
            *[subjects_table.c[name] for name in ("key_wrapped", "pseudonym")],
            classes.c.sensitivity,
            classes.c.category,
            classes.c.jurisdiction,
        )
        .join(subjects_table, subjects_table.c.sid == table.c.sid)
        .join(classes, classes.c.class_id == table.c.class_id)
    )


CURRENT = _joined(resources)
NAMED = CURRENT.where(pair_among((resources.c.type, resources.c.id), ("types", "ids")))
BY_RIDS = CURRENT.where(_OF_RIDS)
HISTORY = _joined(history)


def put(tx: Transaction, new: NewVersion) -> int:
    """Keep one version; its row number."""
    return put_many(tx, [new])[0]


def put_many(
    tx: Transaction, versions: Sequence[NewVersion], known: Mapping[tuple[str, str], Head] | None = None
) -> list[int]:
    """Keep versions of different resources, with their tokens and feed rows; their row numbers.

    Args:
        tx: The transaction.
        versions: One of each resource at most.
        known: What is current under their names, where the caller has looked in this transaction.

    Raises:
        StaleVersionError: One's ``expected`` is not the current version; nothing may be committed then.
        ShreddedSubjectError: A subject's key was destroyed.
    """
    places = [(new.type, new.id) for new in versions]
    if len(set(places)) != len(places):
        raise ValueError("one call keeps one version of a resource")
    known = _expected(versions, heads(tx, places) if known is None else known)
    class_ids = intern(tx, {new.resource_class for new in versions})
    first, rids = _numbered(tx, places, known)
    listed = [sorted(set(new.tokens)) for new in versions]
    rows = [
        (
            rids[new.type, new.id],
            new.type,
            new.id,
            new.sid or subjects.DIRECTORY_SID,
            new.origin,
            new.version,
            class_ids[new.resource_class],
            new.changed_at,
            new.instant,
            body is None,
            body,
            kept_tokens(tokens, tx.connection.dialect),
        )
        for new, body, tokens in zip(versions, _seal_all(tx, versions), listed, strict=True)
    ]
    tallies.change(tx, _gained(versions, known))
    _make_way(tx, {place: new.version for place, new in zip(places, versions, strict=True)}, known)
    tx.insert_many(resources, [row for row in rows if row[0] >= first > 0])
    tx.run_many(_UPDATE, [_updated(row) for row in rows if not row[0] >= first > 0])
    token_index.index(tx, [(token, row[0]) for tokens, row in zip(listed, rows, strict=True) for token in tokens])
    feed.add(
        tx,
        [
            feed.FeedRow(
                rid=row[0],
                version=new.version,
                op="put" if new.packed is not None else "delete",
                sid=new.sid or subjects.DIRECTORY_SID,
            )
            for new, row in zip(versions, rows, strict=True)
        ],
    )
    return [row[0] for row in rows]


def _numbered(
    tx: Transaction, places: Sequence[tuple[str, str]], known: Mapping[tuple[str, str], Head]
) -> tuple[int, dict[tuple[str, str], int]]:
    """The first row number that is new, 0 where none is; and all of them by name."""
    fresh = [place for place in places if place not in known]
    if (first := tx.allocate("resources", len(fresh)) if fresh else 0) == 1:
        generations.settle(tx)
    new = {place: rid for rid, place in enumerate(fresh, first)}
    return first, new | {place: head.rid for place, head in known.items()}


def _gained(versions: Sequence[NewVersion], known: Mapping[tuple[str, str], Head]) -> Mapping[tuple[int, str], int]:
    """By subject and origin, how many more current resources there will be."""
    gained: dict[tuple[int, str], int] = {}
    for new in versions:
        head = known.get((new.type, new.id))
        if head is not None and not head.deleted:
            gained[head.sid, head.origin] = gained.get((head.sid, head.origin), 0) - 1
        if new.packed is not None:
            place = (new.sid or subjects.DIRECTORY_SID, new.origin)
            gained[place] = gained.get(place, 0) + 1
    return gained


def _expected(versions: Sequence[NewVersion], known: Mapping[tuple[str, str], Head]) -> Mapping[tuple[str, str], Head]:
    """What is current under the versions' names, as their writers expect it.

    Raises:
        StaleVersionError: One of them expects another version.
    """
    for new in versions:
        head = known.get((new.type, new.id))
        current = head.version if head else 0
        if new.expected is not None and new.expected != current:
            raise StaleVersionError(f"{new.type}/{new.id} is at version {current}, not {new.expected}")
    return {place: known[place] for new in versions if (place := (new.type, new.id)) in known}


def _make_way(tx: Transaction, numbers: Mapping[tuple[str, str], int], known: Mapping[tuple[str, str], Head]) -> None:
    """Move former versions into the history and drop their tokens.

    What was taken back may come again as the version it was, or from the first one on after an erasure: the tombstone
    in its place is no version of its own.
    """
    former = [head.rid for place, head in known.items() if head.version < numbers[place]]
    if former:
        tx.execute(_ARCHIVE, {"rids": former})
    token_index.drop(tx, [head.rid for head in known.values()])


def _updated(row: tuple[object, ...]) -> dict[str, object]:
    """A row as :data:`_UPDATE` names its values."""
    rid, *values = row
    return {"row": rid, **{f"to_{name}": value for name, value in zip(_CURRENT_COLUMNS, values, strict=True)}}


def current(tx: Transaction, resource_type: str, resource_id: str) -> StoredResource | None:
    """The current version, which may be a tombstone; ``None`` where there never was one."""
    return currents(tx, {(resource_type, resource_id)}).get((resource_type, resource_id))


def currents(tx: Transaction, places: AbstractSet[tuple[str, str]]) -> dict[tuple[str, str], StoredResource]:
    """As :func:`current`, for several names (type and id) at once; absent where there never was one."""
    return {(row.type, row.id): opened(tx, row) for row in rows_named(tx, NAMED, places)}


def rows_named(tx: Transaction, statement: Select[Any], places: AbstractSet[tuple[str, str]]) -> Sequence[Row[Any]]:
    """The rows of :data:`NAMED`, or of a statement made of it, under names (type and id)."""
    # A database stumbles over texts that are no names.
    named = [place for place in places if (text := "".join(place)).isascii() and "\0" not in text]
    if not named:
        return ()
    types, ids = zip(*named, strict=True)
    return tx.rows(statement, {"types": types, "ids": ids})


def versions(tx: Transaction, resource_type: str, resource_id: str) -> list[StoredResource]:
    """Every version that is kept, the current one first."""
    now = current(tx, resource_type, resource_id)
    if now is None:
        return []
    former = tx.execute(HISTORY.where(history.c.rid == now.rid).order_by(history.c.version.desc()))
    return [now, *(opened(tx, row) for row in former)]


def by_rids(tx: Transaction, rids: Iterable[int]) -> dict[int, StoredResource]:
    """Current versions by row number."""
    return {row.rid: opened(tx, row) for row in rows_among(tx, BY_RIDS, "rids", rids)}


def sealed_by_rids(tx: Transaction, rids: Iterable[int]) -> dict[int, Sealed]:
    """Current versions by row number, with their bodies beside them as they are kept."""
    return {row.rid: (stored(row, None), sealed_body(tx, row)) for row in rows_among(tx, BY_RIDS, "rids", rids)}


def heads(tx: Transaction, places: Iterable[tuple[str, str]]) -> dict[tuple[str, str], Head]:
    """What is current under names (type and id), tombstones included; absent where there never was anything."""
    by_type: dict[str, list[str]] = {}
    for resource_type, resource_id in places:
        by_type.setdefault(resource_type, []).append(resource_id)
    return {
        (resource_type, row.id): Head(row.rid, row.version, row.origin, row.sid, row.deleted)
        for resource_type, ids in by_type.items()
        for row in rows_among(tx, _HEADS, "ids", ids, type=resource_type)
    }


def alive(tx: Transaction, rids: Iterable[int]) -> set[int]:
    """Those of ``rids`` that there are, tombstones included."""
    return {row.rid for row in rows_among(tx, _ALIVE, "rids", rids)}


def origins_of(tx: Transaction, pseudonym: Pseudonym) -> list[str]:
    """Addresses of the nodes that current resources of a person come from."""
    statement = (
        select(resources.c.origin)
        .join(subjects_table, subjects_table.c.sid == resources.c.sid)
        .where(subjects_table.c.pseudonym == pseudonym, resources.c.deleted.is_(False))
        .distinct()
        .order_by(resources.c.origin)
    )
    return list(tx.execute(statement).scalars())


def of_subject(tx: Transaction, sid: int, resource_type: str | None = None, limit: int = 1000) -> list[StoredResource]:
    """A subject's current resources, by row number."""
    statement = CURRENT.where(resources.c.sid == sid, resources.c.deleted.is_(False))
    if resource_type is not None:
        statement = statement.where(resources.c.type == resource_type)
    return [opened(tx, row) for row in tx.execute(statement.order_by(resources.c.rid).limit(limit))]


def opened(tx: Transaction, row: Any) -> StoredResource:  # noqa: ANN401  # of SQLAlchemy, or with the same names
    """A row of :data:`CURRENT` with its body opened."""
    sealed = sealed_body(tx, row)
    return stored(row, sealed.open() if sealed is not None else None)


def stored(row: Row[Any], body: bytes | None) -> StoredResource:
    """A row of :data:`CURRENT` or :data:`HISTORY` with this for its body."""
    return StoredResource(
        rid=row.rid,
        type=row.type,
        id=row.id,
        sid=row.sid,
        origin=row.origin,
        version=row.version,
        resource_class=class_of(row.type, row.sensitivity, row.category, row.jurisdiction),
        changed_at=row.changed_at,
        instant=row.instant,
        deleted=row.deleted,
        body=body,
        pseudonym=row.pseudonym,
    )


def sealed_body(tx: Transaction, row: Row[Any]) -> SealedBody | None:
    """The body of such a row, as it is kept."""
    if row.body is None or row.key_wrapped is None:
        return None
    key = tx.ring.unwrap(row.key_wrapped)
    return SealedBody(key=key, sealed=row.body, sid=row.sid, type=row.type, id=row.id, version=row.version)


def _seal_all(tx: Transaction, versions: Sequence[NewVersion]) -> list[bytes | None]:
    """Every body sealed under its subject's key."""
    living = subjects.by_sids(tx, {new.sid or subjects.DIRECTORY_SID for new in versions})
    if subjects.DIRECTORY_SID not in living and not all(new.sid for new in versions):
        living[subjects.DIRECTORY_SID] = subjects.directory_subject(tx)
    sealed: list[bytes | None] = []
    nonces = tx.randomness(NONCE_BYTES * len(versions))
    for number, new in enumerate(versions):
        subject = living.get(new.sid or subjects.DIRECTORY_SID)
        if subject is None:
            raise subjects.ShreddedSubjectError(f"{new.type}/{new.id} belongs to a subject that is no more")
        if new.packed is None:
            sealed.append(None)
            continue
        sealed.append(
            seal_packed(
                subject.key,
                new.packed,
                sid=subject.sid,
                resource_type=new.type,
                resource_id=new.id,
                version=new.version,
                nonce=nonces[NONCE_BYTES * number : NONCE_BYTES * (number + 1)],
            )
        )
    return sealed
