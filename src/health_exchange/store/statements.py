"""Statements as their driver wants them, compiled once: what runs often does not pass through the compiler again."""

from functools import cache, lru_cache

from sqlalchemy import Dialect, Table, UpdateBase, bindparam, insert


@cache
def _insert(table: Table) -> UpdateBase:
    """Inserts a whole row."""
    return insert(table).values({column.name: bindparam(column.name) for column in table.columns})


def insert_text(table: Table, dialect: Dialect) -> str:
    """The statement that inserts a whole row, its values in the order of the table's columns."""
    return compiled(_insert(table), dialect)[0]


@lru_cache(maxsize=256)
def compiled(statement: UpdateBase, dialect: Dialect) -> tuple[str, tuple[str, ...]]:
    """The driver's text of a statement that was made once at import, and the order of its parameters."""
    made = statement.compile(dialect=dialect)
    return str(made), tuple(getattr(made, "positiontup", None) or ())
