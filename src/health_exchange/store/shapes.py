"""Statements of searches, made once for each shape: which conditions there are, whatever their values.

To build a SELECT, to look whether it was compiled before, and to take its rows through SQLAlchemy costs more than the
database needs to answer it. So conditions that come often are the function that makes them and their values
(:class:`Shaped`), and what is compiled is found by those functions. No value is kept with a shape: those of one search
are never another's.
"""

from collections.abc import Callable, Hashable, Sequence
from typing import Any, NamedTuple, TypeAlias

from sqlalchemy import BindParameter, ColumnElement, Select, bindparam
from sqlalchemy.types import TypeEngine

from health_exchange.store.statements import Prepared
from health_exchange.store.transaction import Transaction

SHAPES_MAX = 1_024
"""Most shapes that are kept; the oldest is dropped for one more."""
PARAMETERS_MAX, TEXT_MAX = 128, 16_384
"""What a shape that is kept has at most, so that no asker fills the memory: larger ones hardly come again."""


class Shaped(NamedTuple):
    """A condition that is made only where its shape is new.

    Attributes:
        make: Makes it of its parameters; the same function each time, for it is the shape.
        values: Of the parameters.
        types: Of the parameters; the same for each ``make``.
    """

    make: Callable[..., ColumnElement[bool]]
    values: tuple[Any, ...]
    types: tuple[TypeEngine[Any], ...]

    def __clause_element__(self) -> ColumnElement[bool]:
        """The condition with its values in it, where it becomes part of another one."""
        pairs = zip(self.values, self.types, strict=True)
        return self.make(*(bindparam(None, value, type_=kind, unique=True) for value, kind in pairs))


Condition: TypeAlias = ColumnElement[bool] | Shaped

Make: TypeAlias = Callable[..., Select[Any]]
"""Makes a SELECT of conditions and of what else its shape depends on; its own parameters have names."""


class _Known(NamedTuple):
    """A statement that was compiled.

    Attributes:
        prepared: The statement; ``None`` where its text depends on values, as that of an ``IN`` with a list does.
        names: Of each condition's parameters.
    """

    prepared: Prepared | None
    names: Sequence[Sequence[str]] = ()


_KNOWN: dict[Hashable, _Known] = {}


def rows_of(
    tx: Transaction, make: Make, conditions: Sequence[Condition], *fixed: Hashable, **parameters: object
) -> Sequence[Any]:
    """The rows of ``make(conditions, *fixed)``.

    Args:
        tx: The transaction.
        make: The same function each time.
        conditions: What is asked for.
        fixed: What else the shape depends on.
        parameters: Values of the statement's own parameters.
    """
    shapes, values = zip(*map(_taken_apart, conditions), strict=True) if conditions else ((), ())
    key = (make, fixed, tx.connection.dialect.name, shapes)
    known = _KNOWN.get(key)
    if known is None:
        known = _prepared(tx, make, conditions, fixed)
        text = known.prepared.text if known.prepared is not None else ""
        if len(text) <= TEXT_MAX and sum(map(len, values)) <= PARAMETERS_MAX:
            _keep(key, known)
    if known.prepared is None:
        plain = [each.__clause_element__() if isinstance(each, Shaped) else each for each in conditions]
        return tx.execute(make(plain, *fixed), parameters).all()
    given = dict(parameters)
    for names, each in zip(known.names, values, strict=True):
        given.update(zip(names, each, strict=True))
    return tx.fetch(known.prepared, given)


def _keep(key: Hashable, known: _Known) -> None:
    """Have a statement be found by its shape; threads may do so at the same time."""
    if len(_KNOWN) >= SHAPES_MAX:
        _KNOWN.pop(next(iter(tuple(_KNOWN))), None)
    _KNOWN[key] = known


def _taken_apart(condition: Condition) -> tuple[Hashable, Sequence[Any]]:
    """The shape of a condition, and its values."""
    if isinstance(condition, Shaped):
        return condition.make, condition.values
    key = _key_of(condition)
    return key.key, [bind.effective_value for bind in key.bindparams]


def _key_of(condition: ColumnElement[bool]) -> Any:  # noqa: ANN401  # SQLAlchemy's
    """How SQLAlchemy itself tells whether two conditions differ in their values only, and these values."""
    key = condition._generate_cache_key()  # noqa: SLF001  # nothing public tells it
    if key is None:
        raise TypeError("a condition has no shape")
    return key


def _prepared(tx: Transaction, make: Make, conditions: Sequence[Condition], fixed: Sequence[Hashable]) -> _Known:
    """A statement for any values of these conditions' shape."""
    parameters = [_parameters_of(number, condition) for number, condition in enumerate(conditions)]
    made = [
        condition.make(*binds) if isinstance(condition, Shaped) else condition
        for condition, binds in zip(conditions, parameters, strict=True)
    ]
    compiled: Any = make(made, *fixed).compile(dialect=tx.connection.dialect)
    if compiled.post_compile_params or compiled.literal_execute_params:
        return _Known(None)
    names = [[compiled.bind_names[bind] for bind in binds] for binds in parameters]
    of_conditions = {name for each in names for name in each}
    if len(of_conditions) < sum(map(len, names)):
        raise ValueError("two conditions share a parameter, which others of their shape may not")
    prepared = Prepared.of(compiled)
    # What conditions bring is given each time: none of it is part of the statement.
    own = {name: value for name, value in prepared.fixed.items() if name not in of_conditions}
    return _Known(prepared._replace(fixed=own), names)


def _parameters_of(number: int, condition: Condition) -> Sequence[BindParameter[Any]]:
    """The parameters of a condition, in the order of its values."""
    if isinstance(condition, Shaped):
        return [bindparam(f"of_{number}_{place}", type_=kind) for place, kind in enumerate(condition.types)]
    found: Sequence[BindParameter[Any]] = _key_of(condition).bindparams
    return found
