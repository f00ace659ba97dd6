"""Finding rows by search token: an inverted index over the lists in the rows, or a narrow table beside them.

PostgreSQL indexes the lists themselves (GIN), so that nothing has to be kept. SQLite cannot; there a token's rows stand
in a table of their own, in the order pages are read.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeAlias

from sqlalchemy import (
    BigInteger,
    BindParameter,
    ColumnElement,
    Select,
    bindparam,
    delete,
    distinct,
    exists,
    func,
    literal,
    select,
    text,
)

from health_exchange.store.among import Among, Many, among, among_values, rows_among
from health_exchange.store.schema import resources, tokens
from health_exchange.store.shapes import Condition, Shaped, rows_of
from health_exchange.store.token_lists import TokenList
from health_exchange.store.transaction import Transaction

Value: TypeAlias = BindParameter[Any]
"""A parameter of a condition."""
_Makes: TypeAlias = Callable[[Value], ColumnElement[bool]]

TOGETHER_MAX = 64
"""As many alternatives are looked up at once."""
FEW = 5_000
"""So many rows are put in order at little cost."""
LED = tokens.join(resources, resources.c.rid == tokens.c.rid)
"""Rows in the order in which SQLite's index names them."""
_ONE, _MANY = (BigInteger(),), (Many(BigInteger),)
_LISTED, _TWO_LISTED = (TokenList(),), (TokenList(), TokenList())
_LISTS = select(resources.c.rid, resources.c.tokens).where(among(resources.c.rid, "rids"))
_UNLISTED = select(tokens).where(among(tokens.c.rid, "rids")).order_by(tokens.c.token)
_DROP = delete(tokens).where(tokens.c.token == bindparam("of_token"), tokens.c.rid == bindparam("of_row"))
_DROP_UNLISTED = delete(tokens).where(tokens.c.rid == bindparam("of_row"))


def index(tx: Transaction, pairs: Iterable[tuple[int, int]]) -> None:
    """Have rows found by their tokens: pairs of token and row."""
    if not _is_in_rows(tx):
        tx.insert_many(tokens, list(pairs))


def drop(tx: Transaction, rids: Iterable[int]) -> None:
    """Have rows found no more; before their lists are changed or deleted."""
    if _is_in_rows(tx):
        return
    lists = {row.rid: row.tokens for row in rows_among(tx, _LISTS, "rids", rids)}
    pairs = [{"of_token": token, "of_row": rid} for rid, listed in lists.items() for token in listed or ()]
    tx.run_many(_DROP, pairs)
    # Rows that the release before this one wrote have no list.
    tx.run_many(_DROP_UNLISTED, [{"of_row": rid} for rid, listed in lists.items() if listed is None])


def exchange(tx: Transaction, rid: int, former: Sequence[int], now: Sequence[int]) -> None:
    """Have a row found by other tokens than before; its list is the caller's to change."""
    if not _is_in_rows(tx):
        tx.run_many(_DROP, [{"of_token": token, "of_row": rid} for token in set(former) - set(now)])
        tx.insert_many(tokens, [(token, rid) for token in set(now) - set(former)])


def unlisted(tx: Transaction, rids: Iterable[int]) -> dict[int, list[int]]:
    """Tokens of rows that have no list: those that the release before this one wrote."""
    found: dict[int, list[int]] = {}
    if not _is_in_rows(tx):
        for row in rows_among(tx, _UNLISTED, "rids", rids):
            found.setdefault(row.rid, []).append(row.token)
    return found


def has_token(tx: Transaction, wanted: Sequence[int]) -> Condition:
    """That a row has one of these tokens; on SQLite a look into each row, or one at all they have if they are many."""
    if len(wanted) > TOGETHER_MAX and not _is_in_rows(tx):
        return Shaped(_named_by, (wanted,), _MANY)
    return passes(tx, wanted)


def passes(tx: Transaction, wanted: Sequence[int]) -> Condition:
    """That a row has one of these tokens, however many: a look into each row that is walked past."""
    if _is_in_rows(tx):
        return Shaped(_shares, (wanted,), _LISTED)
    return Shaped(_beside, (wanted[0],), _ONE) if len(wanted) == 1 else Shaped(_beside_any, (wanted,), _MANY)


def found_by(tx: Transaction, groups: Sequence[Sequence[int]], *, leads_to_few: bool = False) -> list[Condition]:
    """That a row has a token of each group, for a statement that begins with the rows that the index names.

    Tokens without alternatives are asked for together, so that PostgreSQL reads long lists only where short ones lead.
    SQLite begins with the first group.

    Args:
        tx: The transaction.
        groups: None of them empty; the one that fewest rows have first.
        leads_to_few: Whether few rows have the first: each is asked for the others, however many rows these have.
    """
    if not groups:
        return []
    if not _is_in_rows(tx):
        return [_leading(_named_by_one, _named_by, groups[0]), *_behind(tx, groups, leads_to_few=leads_to_few)]
    alone = [group[0] for group in groups if len(group) == 1]
    several = [group for group in groups if len(group) > 1]
    is_led = len(groups[0]) > (1 if leads_to_few else TOGETHER_MAX)
    first = groups[0] if is_led else max(several, key=len, default=())
    if len(first) > TOGETHER_MAX:
        one_by_one = Shaped(_one_by_one, (first, alone), _TWO_LISTED)
        return [one_by_one, *(has_token(tx, group) for group in several if group is not first)]
    together = [Shaped(_holds, (alone,), _LISTED)] if alone else []
    return [*together, *(has_token(tx, group) for group in several)]


def finds_as_many(tx: Transaction, rows: Select[Any], wanted: int) -> bool:
    """Whether a statement finds so many rows, told by a part of the index's lists; ``False`` where only all would tell.

    PostgreSQL reads the whole list of a token before the first row is found by it, unless it is told to pass over some
    at random. What is left is found none the less.
    """
    if not _is_in_rows(tx):
        return False
    tx.execute(text(f"SET LOCAL gin_fuzzy_search_limit = {4 * wanted}"))
    count: int = tx.execute(select(func.count()).select_from(rows.limit(wanted).subquery())).scalar_one()
    # Where that fails, nobody goes on in the transaction.
    tx.execute(text("SET LOCAL gin_fuzzy_search_limit = 0"))
    return count >= wanted


def together(
    tx: Transaction, wanted: Sequence[int], groups: Sequence[Sequence[int]], *, leads_to_few: bool
) -> Select[Any]:
    """Those of some tokens that a row has which has a token of each group, too; of ``resources`` more may be said.

    Args:
        tx: The transaction.
        wanted: The tokens.
        groups: None of them empty.
        leads_to_few: Whether fewer rows have the wanted tokens than have one of each group.
    """
    if not _is_in_rows(tx):
        has = passes if leads_to_few else has_token
        rows = select(tokens.c.token).distinct().join(resources, resources.c.rid == tokens.c.rid)
        return rows.where(among_values(tokens.c.token, wanted), *(has(tx, group) for group in groups))
    alone = [group[0] for group in groups if len(group) == 1]
    each = func.unnest(literal(wanted, TokenList), type_=BigInteger).column_valued("each")
    all_of_them = func.array_append(literal(alone, TokenList), each, type_=TokenList())
    # Joined, and not asked whether there is one: PostgreSQL would expect to meet that one soon, and walk.
    found = select(each).distinct().select_from(resources)
    return found.where(
        resources.c.tokens.bool_op("@>")(all_of_them), *(has_token(tx, group) for group in groups if len(group) > 1)
    )


def leads_in_order(tx: Transaction, groups: Sequence[Sequence[int]]) -> bool:
    """Whether the index names rows in the order of their numbers: SQLite's does, those of one token."""
    return not _is_in_rows(tx) and bool(groups) and len(groups[0]) == 1


def names_few(tx: Transaction, group: Sequence[int]) -> bool:
    """Whether few rows have a token of a group, where :func:`leads_in_order`: they are sorted at less cost then."""
    [row] = rows_of(tx, _count_some, [_leading(_leads, _leads_any, group)])
    return int(row.number) < FEW


def led_by(
    tx: Transaction, groups: Sequence[Sequence[int]], below: int | None, *, leads_to_few: bool
) -> list[Condition]:
    """That a row of :data:`LED` has a token of each group, where :func:`leads_in_order`; of those under a number."""
    [lead] = groups[0]
    under = [] if below is None else [Shaped(_under, (below,), _ONE)]
    return [Shaped(_leads, (lead,), _ONE), *under, *_behind(tx, groups, leads_to_few=leads_to_few)]


def tokened(tx: Transaction, groups: Sequence[Sequence[int]]) -> int:
    """How many rows have a token of each group; what is deleted has none, so nothing but the index is read."""
    if _is_in_rows(tx):
        [row] = rows_of(tx, _count, found_by(tx, groups))
    else:
        others = [_leading(_also, _also_any, group) for group in groups[1:]]
        [row] = rows_of(tx, _count_led, [_leading(_leads, _leads_any, groups[0]), *others])
    return int(row.number)


def _behind(tx: Transaction, groups: Sequence[Sequence[int]], *, leads_to_few: bool) -> list[Condition]:
    """On SQLite, that a row which the first group leads to has a token of each other one."""
    # A look into each of very many rows for each of many tokens costs more than one at all that have these tokens.
    has = passes if leads_to_few else has_token
    return [has(tx, group) for group in groups[1:]]


def _leading(one: _Makes, many: _Makes, group: Sequence[int]) -> Shaped:
    """A condition on one token or, made otherwise, on many."""
    return Shaped(one, (group[0],), _ONE) if len(group) == 1 else Shaped(many, (group,), _MANY)


def _count(conditions: Sequence[ColumnElement[bool]]) -> Select[Any]:
    return select(func.count().label("number")).select_from(resources).where(*conditions)


def _count_some(conditions: Sequence[ColumnElement[bool]]) -> Select[Any]:
    some = select(tokens.c.rid).where(*conditions).limit(FEW).subquery()
    return select(func.count().label("number")).select_from(some)


def _count_led(conditions: Sequence[ColumnElement[bool]]) -> Select[Any]:
    return select(func.count(distinct(tokens.c.rid)).label("number")).where(*conditions)


def _shares(listed: Value) -> ColumnElement[bool]:
    return resources.c.tokens.bool_op("&&")(listed)


def _holds(listed: Value) -> ColumnElement[bool]:
    return resources.c.tokens.bool_op("@>")(listed)


def _one_by_one(group: Value, alone: Value) -> ColumnElement[bool]:
    """That a row has one of many tokens and all of some others: looked up one by one, whatever PostgreSQL estimates."""
    row = resources.alias()
    each = func.unnest(group, type_=BigInteger).column_valued("each")
    wanted = func.array_append(alone, each, type_=TokenList())
    found = select(row.c.rid).where(row.c.tokens.bool_op("@>")(wanted)).correlate(None)
    # As an array, which is made before anything else: joined to it, all rows might be walked past.
    return resources.c.rid == func.any(func.array(found.scalar_subquery()))


def _beside(token: Value) -> ColumnElement[bool]:
    return _is_beside(tokens.c.token == token)


def _beside_any(listed: Value) -> ColumnElement[bool]:
    return _is_beside(Among(tokens.c.token, listed))


def _is_beside(is_wanted: ColumnElement[bool]) -> ColumnElement[bool]:
    return exists().where(is_wanted, tokens.c.rid == resources.c.rid).correlate(resources)


def _named_by_one(token: Value) -> ColumnElement[bool]:
    return resources.c.rid.in_(select(tokens.c.rid).where(tokens.c.token == token))


def _named_by(listed: Value) -> ColumnElement[bool]:
    return resources.c.rid.in_(select(tokens.c.rid).where(Among(tokens.c.token, listed)))


def _leads(token: Value) -> ColumnElement[bool]:
    return tokens.c.token == token


def _leads_any(listed: Value) -> ColumnElement[bool]:
    return Among(tokens.c.token, listed)


def _under(number: Value) -> ColumnElement[bool]:
    return tokens.c.rid < number


def _also(token: Value) -> ColumnElement[bool]:
    also = tokens.alias()
    return exists().where(also.c.token == token, also.c.rid == tokens.c.rid).correlate(tokens)


def _also_any(listed: Value) -> ColumnElement[bool]:
    also = tokens.alias()
    return exists().where(Among(also.c.token, listed), also.c.rid == tokens.c.rid).correlate(tokens)


def _is_in_rows(tx: Transaction) -> bool:
    return tx.connection.dialect.name == "postgresql"
