"""A resource's search tokens as one value of its row.

On PostgreSQL the list is an array, and its index finds resources by token. On SQLite a table of its own does that, and
the list beside the row says which of that table's rows to drop.
"""

from array import array
from collections.abc import Sequence
from typing import Any

from sqlalchemy import ARRAY, BigInteger, Dialect, LargeBinary, TypeDecorator
from sqlalchemy.types import TypeEngine

_INT64 = "q"


class TokenList(TypeDecorator[Sequence[int]]):
    """Signed 64-bit numbers: ``bigint[]`` on PostgreSQL, eight bytes each on SQLite."""

    impl = LargeBinary
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """What the database calls it."""
        return dialect.type_descriptor(ARRAY(BigInteger) if dialect.name == "postgresql" else LargeBinary())

    def process_bind_param(self, value: Sequence[int] | None, dialect: Dialect) -> Any:  # noqa: ANN401  # as the driver wants it
        """A list as the driver wants it."""
        return None if value is None else kept_tokens(value, dialect)

    def process_result_value(self, value: Any, dialect: Dialect) -> Sequence[int] | None:  # noqa: ANN401  # as the driver gives it
        """The list again."""
        if value is None or dialect.name == "postgresql":
            return value  # type: ignore[no-any-return]  # the driver's list of int
        return array(_INT64, value).tolist()


def kept_tokens(tokens: Sequence[int], dialect: Dialect) -> object:
    """A list for statements that go straight to the driver."""
    return list(tokens) if dialect.name == "postgresql" else array(_INT64, tokens).tobytes()
