"""Which generation of search tokens all rows have: a search may go by a token only if every row that could, has it.

A row that is kept has the tokens of the release that keeps it. Rows of an earlier release get them afterwards, in order
of their numbers (``search.reindexing``), by a process that has claimed the database: none of an earlier release writes
from then on. Until all have them nobody goes by tokens that these lack.
"""

from time import monotonic
from weakref import WeakKeyDictionary

from health_exchange.store import node_state
from health_exchange.store.database import Database
from health_exchange.store.transaction import Transaction

TEXTS, QUARTERS = 2, 3
GENERATION = QUARTERS
"""Counts what ``search.tokens`` makes: 1 had codes, identifiers and persons, 2 also texts, encounters, compartments and
long dates (``TEXTS``), 3 also codes with quarters of years (``QUARTERS``)."""
_GENERATION, _PLACE = "token-generation", "tokens-anew"
_THROUGH: WeakKeyDictionary[Database, dict[int, float]] = WeakKeyDictionary()
"""When databases were first seen with all rows of a generation, which none of them loses again."""
SNAPSHOT_S = 300.0
"""Longer than any transaction lasts: one that began before all rows were gone through does not see them so."""


def has(tx: Transaction, generation: int) -> bool:
    """Whether every row has the tokens that were made up to a generation, as this transaction sees them."""
    seen_at = _THROUGH.setdefault(tx.database, {})
    if generation in seen_at and monotonic() - seen_at[generation] > SNAPSHOT_S:
        return True
    # What a later release has noted says nothing of the rows that this one wrote since.
    if not generation <= node_state.cursor(tx, _GENERATION) <= GENERATION:
        return False
    seen_at.setdefault(generation, monotonic())
    return True


def is_current(tx: Transaction) -> bool:
    """Whether every row has the tokens of this generation, as this transaction sees them."""
    return has(tx, GENERATION)


def settle(tx: Transaction) -> None:
    """Note that every row has them: there is none yet, or all were gone through by transactions before this one."""
    node_state.set_cursor(tx, _GENERATION, GENERATION)
    # The next generation begins at the first row.
    node_state.set_cursor(tx, _PLACE, 0)


def place(tx: Transaction) -> int:
    """Up to which row all have them."""
    return node_state.cursor(tx, _PLACE)


def move(tx: Transaction, rid: int) -> None:
    """Note up to which row all have them."""
    node_state.set_cursor(tx, _PLACE, rid)
