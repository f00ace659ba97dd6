"""Versions that are looked at without their bodies, and bodies that are fetched for those that are handed out.

A body may have megabytes: who only looks, and whoever holds up others while he looks, reads none that is long.
"""

from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from typing import Any, NamedTuple

from sqlalchemy import BigInteger, bindparam, case, func

from health_exchange.store.among import among, rows_among
from health_exchange.store.bodies import SealedBody
from health_exchange.store.resources import (
    BY_RIDS,
    CURRENT,
    HISTORY,
    NAMED,
    StoredResource,
    opened,
    rows_named,
    sealed_body,
    stored,
)
from health_exchange.store.schema import history, resources
from health_exchange.store.transaction import Transaction

SHORT_BYTES = 64 << 10
"""Most that a body has as it is kept to be read at once."""
_FORMER_OF = HISTORY.where(history.c.rid == bindparam("row", type_=BigInteger), among(history.c.version, "numbers"))


def _bodiless(statement: Any, *instead: Any) -> Any:  # noqa: ANN401  # a SELECT, and columns
    """A SELECT of whole versions with other columns in the body's place."""
    columns = [column for column in statement.selected_columns if column.name != "body"]
    return statement.with_only_columns(*columns, *instead)


def _short(statement: Any, body: Any) -> Any:  # noqa: ANN401  # a SELECT, and its body's column
    """A SELECT of whole versions with no body that is long, and the length of each as it is kept."""
    length = func.length(body)
    return _bodiless(
        statement,
        case((length <= SHORT_BYTES, body)).label("body"),
        func.coalesce(length, 0).label("body_bytes"),
    )


_SHORT_CURRENT = _short(NAMED, resources.c.body)
_SHORT_FORMER = _short(_FORMER_OF, history.c.body)
BARE_CURRENT = _bodiless(CURRENT, func.coalesce(func.length(resources.c.body), 0).label("body_bytes"))
"""As ``resources.CURRENT``, with the length of each body as it is kept instead of the body; 0 where there is none."""
BARE_HISTORY = _bodiless(HISTORY, func.coalesce(func.length(history.c.body), 0).label("body_bytes"))
"""As ``resources.HISTORY``, in the same way."""


class Short(NamedTuple):
    """One version: its body as it is kept, where it is short; and whether it has a longer one."""

    kept: StoredResource
    body: SealedBody | None
    is_long: bool


def short_currents(tx: Transaction, places: AbstractSet[tuple[str, str]]) -> dict[tuple[str, str], Short]:
    """As ``resources.currents``, not opened, and long bodies left where they are (:func:`version_of`)."""
    return {(row.type, row.id): _short_of(tx, row) for row in rows_named(tx, _SHORT_CURRENT, places)}


def short_former(tx: Transaction, rid: int, number: int) -> Short | None:
    """A former version of a row, in the same way; ``None`` where there is none."""
    rows = rows_among(tx, _SHORT_FORMER, "numbers", [number], row=rid)
    return _short_of(tx, rows[0]) if rows else None


def version_of(tx: Transaction, rid: int, number: int) -> StoredResource | None:
    """One version of a row, current or former, opened; ``None`` where it is no more."""
    row = next(iter(_rows_of(tx, rid, [number])), None)
    if row is None:
        row = next((now for now in rows_among(tx, BY_RIDS, "rids", [rid]) if now.version == number), None)
    return opened(tx, row) if row is not None else None


def sealed_versions(
    tx: Transaction, current: Iterable[int], former: Iterable[tuple[int, int]]
) -> dict[tuple[int, int], SealedBody]:
    """Bodies as they are kept, by row and version; absent where there is none.

    Args:
        tx: The transaction.
        current: Rows whose current versions are wanted.
        former: Rows and numbers of former versions.
    """
    numbers: dict[int, list[int]] = {}
    for rid, number in former:
        numbers.setdefault(rid, []).append(number)
    rows = [*rows_among(tx, BY_RIDS, "rids", current)]
    for rid, listed in numbers.items():
        rows += _rows_of(tx, rid, listed)
    found = {(row.rid, row.version): sealed_body(tx, row) for row in rows}
    return {place: body for place, body in found.items() if body is not None}


def _rows_of(tx: Transaction, rid: int, numbers: list[int]) -> Iterable[Any]:
    """Rows of former versions of one row."""
    return rows_among(tx, _FORMER_OF, "numbers", numbers, row=rid)


def _short_of(tx: Transaction, row: Any) -> Short:  # noqa: ANN401  # of SQLAlchemy
    """A row of :func:`_short`."""
    is_long = row.body_bytes > SHORT_BYTES and row.key_wrapped is not None
    return Short(stored(row, None), sealed_body(tx, row), is_long)
