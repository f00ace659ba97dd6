"""Which generation of search tokens all rows have: a search may go by a token only if every row that could, has it.

A row that is kept has the tokens of the release that keeps it. Rows of an earlier release get them afterwards, in order
of their numbers (``search.reindexing``), by a process that has claimed the database: none of an earlier release writes
from then on. Until all have them nobody goes by tokens that these lack. Whoever claims the database notes so: where the
run before has not noted it, another release may have written rows since, and they are gone through again.
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
OLDEST = TEXTS
"""What every release makes that knows the database's schema: those to which a node goes back."""
_GENERATION, _PLACE, _MADE_BY = "token-generation", "tokens-anew", "token-generation-of-run"
_THROUGH: WeakKeyDictionary[Database, dict[int, float]] = WeakKeyDictionary()
"""When databases were first seen with all rows of a generation, which none of them loses while a run has it."""
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


def begin_run(tx: Transaction, before: bytes | None, run: str) -> None:
    """Have a run write rows of this generation from now on.

    Args:
        tx: The transaction in which it becomes the database's.
        before: The run that had the database until now.
        run: The one that has it now.
    """
    _THROUGH.pop(tx.database, None)
    known = {_made_by(generation, before or b""): generation for generation in range(OLDEST, GENERATION + 1)}
    made = known.get(node_state.get(tx, _MADE_BY) or b"", OLDEST)
    if made < GENERATION:
        node_state.set_cursor(tx, _GENERATION, min(node_state.cursor(tx, _GENERATION), made))
        # How far another generation had come says nothing of this one.
        node_state.set_cursor(tx, _PLACE, 0)
    node_state.put(tx, _MADE_BY, _made_by(GENERATION, run.encode()))


def _made_by(generation: int, run: bytes) -> bytes:
    return b"%d %s" % (generation, run)


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
