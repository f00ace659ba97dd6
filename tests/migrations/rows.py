"""Generated rows for whatever tables a database has, and what tables hold."""

from typing import Any

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    Column,
    Connection,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    insert,
    select,
)

ROWS = 3
Content = dict[str, list[dict[str, object]]]


def tables(connection: Connection) -> dict[str, Table]:
    """The tables of whichever schema the database has."""
    known = MetaData()
    known.reflect(connection)
    return {name: table for name, table in known.tables.items() if name != "alembic_version"}


def fill(connection: Connection, shapes: dict[str, Table], *, start: int = 1) -> None:
    """Some rows of each table, with the columns that ``shapes`` knows."""
    for table in shapes.values():
        rows = range(start, start + ROWS)
        made = [{column.name: _value(table.name, column, number) for column in table.columns} for number in rows]
        connection.execute(insert(table), made)
    connection.commit()


def content(connection: Connection) -> Content:
    """Every row of every table but what a migration notes of itself."""
    found: Content = {}
    for name, table in tables(connection).items():
        rows = [dict(row._mapping) for row in connection.execute(select(table))]
        found[name] = sorted((row for row in rows if row.get("name") != "upgraded-by"), key=repr)
    connection.rollback()
    return found


def narrowed(wide: Content, shape: Content) -> Content:
    """What of ``wide`` stands in the tables and columns of ``shape``."""
    return {
        name: sorted(({key: row[key] for key in rows[0]} for row in wide.get(name, [])), key=repr)
        for name, rows in shape.items()
        if rows
    }


def lost(before: Content, after: Content) -> list[str]:
    """Rows that were there and are not any more."""
    return [f"{name}: {row}" for name, rows in before.items() for row in rows if row not in after.get(name, [])]


def _value(table: str, column: Column[Any], number: int) -> object:
    if isinstance(column.type, ARRAY):
        return [number, -number]
    if column.name == "tokens" and table == "resources":
        return number.to_bytes(8, "little") + (number + 100).to_bytes(8, "little")
    if isinstance(column.type, Boolean):
        return bool(number % 2)
    if isinstance(column.type, BigInteger | Integer):
        return number
    if isinstance(column.type, LargeBinary):
        return bytes((number, 0, 255))
    return f"值-{number}"
