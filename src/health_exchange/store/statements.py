"""Statements as their driver wants them, compiled once: what runs often does not pass through the compiler again."""

from collections import namedtuple
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache, lru_cache
from typing import Any, NamedTuple, Self

from sqlalchemy import Dialect, Select, Table, UpdateBase, bindparam, insert
from sqlalchemy.sql.compiler import SQLCompiler

Reads = Callable[[Any], Any]
"""Makes of a driver's value what the column's type says."""


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


class Prepared(NamedTuple):
    """A SELECT as its driver wants it.

    Attributes:
        text: With places for its parameters.
        order: Name of each place's parameter.
        writes: By name, what makes of a value what the driver wants; absent where that is the value itself.
        fixed: Values that are part of the statement, by name.
        row: Makes a row whose values have the names of its columns.
        reads: For columns whose values are not what the driver gives, by place.
    """

    text: str
    order: tuple[str, ...]
    writes: Mapping[str, Callable[[Any], Any]]
    fixed: Mapping[str, Any]
    row: Callable[[Iterable[Any]], Any]
    reads: tuple[tuple[int, Reads], ...]

    @classmethod
    def of(cls, made: SQLCompiler) -> Self:
        """A compiled SELECT."""
        dialect, columns = made.dialect, list(made.statement.selected_columns)  # type: ignore[union-attr]  # a SELECT's
        kinds = [column.type.dialect_impl(dialect) for column in columns]
        reads = [(place, kind.result_processor(dialect, None)) for place, kind in enumerate(kinds)]
        order = tuple(made.positiontup or ())
        # Only these: a parameter without a name of its own stands under another name besides.
        binds = {name: made.binds[name] for name in order}
        writes = {name: bind.type.dialect_impl(dialect).bind_processor(dialect) for name, bind in binds.items()}
        return cls(
            text=str(made),
            order=order,
            writes={name: each for name, each in writes.items() if each is not None},
            fixed={name: bind.value for name, bind in binds.items() if not bind.required},
            row=namedtuple("Row", [column.name for column in columns])._make,  # type: ignore[attr-defined]  # noqa: PYI024  # made at run time
            reads=tuple((place, read) for place, read in reads if read is not None),
        )

    def values(self, given: Mapping[str, Any]) -> list[Any]:
        """Parameters in the order of their places, as the driver wants them."""
        writes, found = self.writes, {**self.fixed, **given}
        return [writes[name](found[name]) if name in writes else found[name] for name in self.order]

    def rows(self, fetched: Iterable[Sequence[Any]]) -> list[Any]:
        """What the driver gave, with names."""
        if self.reads:
            fetched = map(self._read, fetched)
        return list(map(self.row, fetched))

    def _read(self, fetched: Sequence[Any]) -> list[Any]:
        row = list(fetched)
        for place, read in self.reads:
            row[place] = read(row[place])
        return row


@lru_cache(maxsize=256)
def prepared(statement: Select[Any], dialect: Dialect) -> Prepared:
    """A SELECT that was made once, at import."""
    return Prepared.of(statement.compile(dialect=dialect))
