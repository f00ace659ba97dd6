"""One of many values, given as one parameter.

A list of parameters makes another statement for each length: it is built, sent, parsed and planned again each time. One
array (a JSON text on SQLite) leaves one statement, which driver and database prepare once.
"""

from collections.abc import Iterable, Sequence
from typing import Any, Self

import msgspec
from sqlalchemy import ARRAY, BigInteger, Boolean, ColumnElement, Dialect, Row, Select, Text, TypeDecorator, bindparam
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.sql.operators import OperatorType
from sqlalchemy.types import TypeEngine

from health_exchange.store.transaction import Transaction


class Many(TypeDecorator[Sequence[Any]]):
    """Numbers or texts in one value."""

    impl = Text
    cache_ok = True

    def __init__(self, item: type[BigInteger | Text]) -> None:
        super().__init__()
        self.item = item

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """An array, where the database has them."""
        return dialect.type_descriptor(ARRAY(self.item) if dialect.name == "postgresql" else Text())

    def process_bind_param(self, value: Sequence[Any] | None, dialect: Dialect) -> Any:  # noqa: ANN401  # as the driver wants it
        """The values as the driver wants them."""
        values = list(value or ())
        return values if dialect.name == "postgresql" else msgspec.json.encode(values).decode()


class Among(FunctionElement[bool]):
    """That a column's value is one of those in a parameter."""

    name = "among"
    type = Boolean()
    inherit_cache = True

    def self_group(self, against: OperatorType | None = None) -> Self:  # noqa: ARG002  # as SQLAlchemy calls it
        """As it is: a database without truth values would be asked whether it equals 1, and use no index for that."""
        return self


def among(column: ColumnElement[Any], parameter: str) -> Among:
    """That ``column`` is one of the values given as ``parameter``, however many."""
    return Among(column, bindparam(parameter, type_=_many_of(column)))


def among_values(column: ColumnElement[Any], values: Sequence[Any]) -> Among:
    """That ``column`` is one of these values, in a statement that is made for them."""
    return Among(column, bindparam(None, values, type_=_many_of(column), unique=True))


def _many_of(column: ColumnElement[Any]) -> Many:
    """The type of many values that a column may have."""
    return Many(BigInteger if isinstance(column.type, BigInteger) else Text)


class PairAmong(FunctionElement[bool]):
    """That the values of two columns are one of the pairs in two parameters."""

    name = "pair_among"
    type = Boolean()
    inherit_cache = True

    def self_group(self, against: OperatorType | None = None) -> Self:  # noqa: ARG002  # as SQLAlchemy calls it
        """As :meth:`Among.self_group`."""
        return self


def pair_among(columns: tuple[ColumnElement[Any], ColumnElement[Any]], parameters: tuple[str, str]) -> PairAmong:
    """That two columns of texts are one of the pairs given as two parameters, firsts and seconds in one order."""
    first, second = parameters
    return PairAmong(*columns, bindparam(first, type_=Many(Text)), bindparam(second, type_=Many(Text)))


def rows_among(
    tx: Transaction, statement: Select[Any], parameter: str, values: Iterable[Any], **others: object
) -> Sequence[Row[Any]]:
    """The rows of a statement with :func:`among` in it; none are asked for where there are no values."""
    listed = list(set(values))
    return tx.rows(statement, {parameter: listed, **others}) if listed else ()


@compiles(Among, "postgresql")
def _in_array(element: Among, compiler: SQLCompiler, **how: Any) -> str:  # noqa: ANN401  # SQLAlchemy's
    column, values = element.clauses
    return f"{compiler.process(column, **how)} = ANY ({compiler.process(values, **how)})"


@compiles(Among, "sqlite")
def _in_json(element: Among, compiler: SQLCompiler, **how: Any) -> str:  # noqa: ANN401  # SQLAlchemy's
    column, values = element.clauses
    listed = f"json_each({compiler.process(values, **how)})"
    return f"{compiler.process(column, **how)} IN (SELECT value FROM {listed})"  # noqa: S608  # compiled parts


@compiles(PairAmong, "postgresql")
def _in_arrays(element: PairAmong, compiler: SQLCompiler, **how: Any) -> str:  # noqa: ANN401  # SQLAlchemy's
    one, other, firsts, seconds = (compiler.process(each, **how) for each in element.clauses)
    return f"({one}, {other}) IN (SELECT * FROM unnest({firsts}, {seconds}))"  # noqa: S608  # compiled parts


@compiles(PairAmong, "sqlite")
def _in_two_json(element: PairAmong, compiler: SQLCompiler, **how: Any) -> str:  # noqa: ANN401  # SQLAlchemy's
    one, other, firsts, seconds = (compiler.process(each, **how) for each in element.clauses)
    listed = f"json_each({firsts}) AS firsts JOIN json_each({seconds}) AS seconds ON seconds.key = firsts.key"
    return f"({one}, {other}) IN (SELECT firsts.value, seconds.value FROM {listed})"  # noqa: S608  # compiled parts
