"""What the index says of a search: conditions that no match fails, and whether they are enough by themselves.

An index may hold more than what matches, never less. Tokens that rows of an earlier release lack are gone by only when
every row has them (``store.generations``).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from sqlalchemy import ColumnElement, and_, false, or_

from health_exchange.fhir.parameter_table import compartment_of
from health_exchange.fhir.parameters import instant_text, is_dated
from health_exchange.model.identifiers import Pseudonym
from health_exchange.search.permission import Permitted, is_permitted
from health_exchange.search.quarters import code_and_quarter_tokens, instants_asked
from health_exchange.search.spans import LATEST, Comparator
from health_exchange.search.terms import (
    AmongTerm,
    CompartmentTerm,
    Criterion,
    DateTerm,
    IdsTerm,
    IdTerm,
    KeyedTerm,
    PersonTerm,
    ReferenceTerm,
    SearchQuery,
    Term,
    TextTerm,
)
from health_exchange.search.tokens import (
    ANEW,
    FREQUENT,
    is_found_exactly,
    is_hashed,
    long_token,
    member_tokens,
    named_tokens,
    text_token_asked,
    tokens_asked,
)
from health_exchange.store import generations
from health_exchange.store import subjects as people
from health_exchange.store.among import among_values
from health_exchange.store.schema import resources
from health_exchange.store.shapes import Condition
from health_exchange.store.token_index import TOGETHER_MAX, found_by, has_token, passes
from health_exchange.store.transaction import Transaction

FEW_TOKENS = 8
"""As many alternatives are compared with a row at little cost."""
FEW_REFERENCES = 100
"""Alternatives of a reference or an identifier that still have few rows together."""


@dataclass(slots=True, kw_only=True)
class Narrowing:
    """What the index says of one type.

    Attributes:
        tokens: Of every group, a match has at least one token; the group that fewest rows have comes first.
        code: That of them in whose place ``code_and_quarter`` leads to fewer rows, where the index is asked.
        code_and_quarter: A match has at least one of these tokens.
        others: What else no match fails.
        type: That it is of this type, where its tokens do not say so or its name leads to it.
        is_named: Whether ids lead to what is left.
        needs_subjects: Whether rights are among the conditions: they ask for whose a row is.
        is_rare: Whether few rows are left by it, however many there are.
        is_looked_up: Whether it has many alternatives of a parameter that is not frequent: it is guessed that, as of
            references, the newest rows hardly have one.
        is_exact: Whether whatever is left is a match.
    """

    tokens: list[Sequence[int]] = field(default_factory=list)
    code: Sequence[int] = ()
    code_and_quarter: Sequence[int] = ()
    others: list[Condition] = field(default_factory=list)
    type: str = ""
    is_named: bool = False
    needs_subjects: bool = False
    is_rare: bool = False
    is_looked_up: bool = False
    is_exact: bool = True

    @property
    def has_many(self) -> bool:
        """Whether a group has so many tokens that looking them up is most of the work."""
        return any(len(group) > TOGETHER_MAX for group in self.tokens)

    @property
    def is_long(self) -> bool:
        """Whether the index may name very many rows, by few tokens."""
        return bool(self.tokens) and not (self.is_rare or self.is_named or self.has_many)

    @property
    def leading(self) -> list[Sequence[int]]:
        """The groups of tokens that lead to the fewest rows."""
        if not self.code_and_quarter:
            return self.tokens
        return [self.code_and_quarter, *(group for group in self.tokens if group is not self.code)]

    def found(self, tx: Transaction) -> list[Condition]:
        """As conditions of a statement that begins with the index."""
        if self.is_named:
            tokens = [passes(tx, group) for group in self.tokens]
        else:
            tokens = found_by(tx, self.leading, leads_to_few=self.is_rare)
        return [*tokens, *([resources.c.type == self.type] if self.type else []), *self.others]

    def met(self, tx: Transaction) -> list[Condition]:
        """As conditions of a statement that walks past rows."""
        # As an expression, so that SQLite does not walk past all of the type instead.
        of_type = [resources.c.type.concat("") == self.type] if self.type else []
        return [*(passes(tx, group) for group in self.tokens), *of_type, *self.others]


def narrowed(
    tx: Transaction, query: SearchQuery, sids: Mapping[str, frozenset[int]], permitted: Permitted | None
) -> Narrowing:
    """What the index says of a query whose chains are followed.

    Args:
        tx: The transaction.
        query: What is asked.
        sids: Subjects of the persons it names (:func:`sids_of`).
        permitted: What the caller may see; ``None`` for everything.
    """
    rights = [] if permitted is None or permitted.is_whole else [is_permitted(permitted)]
    each = [_of_type(tx, branch, sids) for branch in query.each]
    found = _of_types(tx, each) if query.branches else each[0]
    found.others += rights
    found.needs_subjects = bool(rights)
    return found


def sids_of(tx: Transaction, query: SearchQuery) -> dict[str, frozenset[int]]:
    """Subjects of every person the query names."""
    terms = [term for branch in query.each for criterion in branch.criteria for term in criterion.terms]
    named = {term.pseudonym for term in terms if isinstance(term, PersonTerm)}
    return {name: frozenset(found.sid for found in people.subjects_of(tx, Pseudonym(name))) for name in named}


def _of_types(tx: Transaction, each: Sequence[Narrowing]) -> Narrowing:
    """What the index says of several types: the tokens that lead to each are asked for together."""
    leading = sorted({token for one in each if one.tokens for token in one.tokens[0]})
    of_tokens = found_by(tx, [leading]) if leading else []
    is_told = all(len(one.tokens) == 1 and not one.others and not one.type for one in each if one.tokens)
    return Narrowing(
        others=[or_(false(), *of_tokens, *(and_(*one.found(tx)) for one in each if not one.tokens))],
        is_rare=all(one.is_rare for one in each),
        is_exact=is_told and all(one.is_exact for one in each),
    )


def _of_type(tx: Transaction, query: SearchQuery, sids: Mapping[str, frozenset[int]]) -> Narrowing:
    """What the index says of one type."""
    found = Narrowing()
    many: list[Sequence[int]] = []
    frequent: list[Sequence[int]] = []
    codes: list[tuple[Criterion, Sequence[int]]] = []
    for criterion in query.criteria:
        told = _Told()
        if not all(told.tells(tx, query.type, criterion, term, sids) for term in criterion.terms):
            found.is_exact = False
            continue
        found.is_exact = found.is_exact and told.is_exact
        is_frequent = criterion.name in FREQUENT
        is_rare = not is_frequent and len(told.tokens) <= FEW_REFERENCES
        if told.tokens and not told.others and not told.ids:
            placed = frequent if is_frequent else found.tokens if is_rare else many
            placed.append(group := sorted(set(told.tokens)))
            codes += [(criterion, group)] if criterion.name == "code" else []
            found.is_looked_up = found.is_looked_up or (not is_frequent and len(group) > TOGETHER_MAX)
        else:
            found.others.append(told.condition(tx))
            found.is_named = found.is_named or all(isinstance(term, IdTerm | IdsTerm) for term in criterion.terms)
        found.is_rare = found.is_rare or (is_rare and not told.is_walked)
    # A token's hash holds the type. Said again, it leads SQLite to walk all of the type instead of the token's rows.
    found.tokens += [*many, *frequent]
    if codes and not found.is_rare and not found.is_looked_up:
        criterion, found.code = codes[0]
        dated = code_and_quarter_tokens(tx.keys.tokens, query, criterion)
        found.code_and_quarter = dated if dated and generations.has(tx, generations.QUARTERS) else ()
    if found.is_named or not found.tokens:
        found.type = query.type
    return found


@dataclass(slots=True, kw_only=True)
class _Told:
    """What the index says of one criterion: any of its alternatives.

    Attributes:
        tokens: Alternatives that are tokens.
        ids: Alternatives that are ids.
        others: All others.
        is_exact: Whether the criterion is met by whatever is found.
        is_walked: Whether some alternative may be met by very many rows.
    """

    tokens: list[int] = field(default_factory=list)
    ids: list[str] = field(default_factory=list)
    others: list[Condition] = field(default_factory=list)
    is_exact: bool = True
    is_walked: bool = False

    def condition(self, tx: Transaction) -> Condition:
        """All alternatives."""
        tokens = [has_token(tx, self.tokens)] if self.tokens else []
        # As one value: however many there are, they are one statement.
        ids = [among_values(resources.c.id, sorted(set(self.ids)))] if self.ids else []
        each: list[Condition] = [*tokens, *ids, *self.others]
        return each[0] if len(each) == 1 else or_(false(), *each)

    def tells(  # an alternative with what it is one of
        self, tx: Transaction, resource_type: str, criterion: Criterion, term: Term, sids: Mapping[str, frozenset[int]]
    ) -> bool:
        """Add one alternative; whether the index helps with it."""
        match term:
            case TextTerm():
                self.is_exact = False
                return self._add(_text_tokens(tx, resource_type, criterion, term))
            case _ if criterion.modifier:
                return False
            case IdTerm():
                self.ids.append(term.id)
            case IdsTerm():
                self.ids += term.ids
            case PersonTerm():
                self.others.append(among_values(resources.c.sid, sorted(sids[term.pseudonym])))
            case KeyedTerm():
                self.tokens.append(term.token)
            case DateTerm():
                self.is_exact, self.is_walked = False, True
                return self._is_dated(tx, resource_type, criterion.name, term)
            case CompartmentTerm():
                return self._belongs(tx, resource_type, term)
            case _:
                self.is_exact = self.is_exact and _is_exact(resource_type, criterion.name, term)
                return self._add(_tokens(tx, resource_type, criterion.name, term))
        return True

    def _add(self, tokens: Iterable[int] | None) -> bool:
        """Add alternatives that are tokens; whether there are any."""
        if tokens is None:
            return False
        self.tokens += tokens
        return True

    def _is_dated(self, tx: Transaction, resource_type: str, name: str, term: DateTerm) -> bool:
        """Add a date."""
        if name == "_lastUpdated":
            dated = _changed(term)
        elif name == "date" and is_dated(resource_type) and generations.has(tx, generations.TEXTS):
            dated = _is_begun(term)
            if dated is not None:
                dated = or_(dated, has_token(tx, [long_token(tx.keys.tokens, resource_type)]))
        else:
            dated = None
        self.others += [] if dated is None else [dated]
        return dated is not None

    def _belongs(self, tx: Transaction, resource_type: str, term: CompartmentTerm) -> bool:
        """Add what belongs to a Patient."""
        own = {"patient", "subject"} & set(compartment_of(resource_type))
        self.is_exact = self.is_exact and bool(own) and resource_type != "Patient"
        if resource_type == "Patient":
            self.others.append(resources.c.id == term.id)
        if not compartment_of(resource_type):
            self.others.append(false())
        elif not generations.has(tx, generations.TEXTS):
            names = [f"Patient/{term.id}"]
            if own != set(compartment_of(resource_type)):
                return False
            self.tokens += [t for name in sorted(own) for t in named_tokens(tx.keys.tokens, resource_type, name, names)]
        else:
            found = member_tokens(tx.keys.tokens, resource_type, f"Patient/{term.id}")
            self.tokens += found
            return bool(found)
        return True


def reference_tokens(tx: Transaction, resource_type: str, by: str, names: Sequence[str]) -> list[int] | None:
    """The token of each of some references, as ``Type/id``; ``None`` where not everything that refers so has one."""
    if not is_hashed(ReferenceTerm(None, ""), resource_type, by):
        return None
    if by in ANEW and not generations.has(tx, generations.TEXTS):
        return None
    return named_tokens(tx.keys.tokens, resource_type, by, names)


def _text_tokens(tx: Transaction, resource_type: str, criterion: Criterion, term: TextTerm) -> list[int] | None:
    """The token that whatever a text finds has."""
    if not generations.has(tx, generations.TEXTS):
        return None
    token = text_token_asked(tx.keys.tokens, resource_type, criterion.name, criterion.modifier, term)
    return None if token is None else [token]


def _tokens(tx: Transaction, resource_type: str, name: str, term: Term) -> list[int] | None:
    """The tokens of which whatever a term finds has one; ``None`` where it may have none."""
    if isinstance(term, AmongTerm):
        return reference_tokens(tx, resource_type, name, sorted(term.names))
    if name in ANEW and not generations.has(tx, generations.TEXTS):
        return None
    return tokens_asked(tx.keys.tokens, resource_type, name, term) if is_hashed(term, resource_type, name) else None


def _is_exact(resource_type: str, name: str, term: Term) -> bool:
    """Whether the tokens of a term find nothing else."""
    return isinstance(term, AmongTerm) or (
        is_hashed(term, resource_type, name) and is_found_exactly(term, resource_type, name)
    )


def _changed(term: DateTerm) -> ColumnElement[bool] | None:
    """A wide guess at ``changed_at`` by the day: its text may be in any zone, a day wide at most."""
    day = timedelta(days=1)
    from_day = (term.start - day).date().isoformat()
    # The calendar ends: a span up to its edge has no two days after it.
    to_day = (min(term.end, LATEST - day) + 2 * day).date().isoformat()
    match term.comparator:
        case Comparator.GT | Comparator.GE | Comparator.SA:
            return resources.c.changed_at >= from_day
        case Comparator.LT | Comparator.LE | Comparator.EB:
            return resources.c.changed_at < to_day
        case Comparator.EQ:
            return and_(resources.c.changed_at >= from_day, resources.c.changed_at < to_day)
        case Comparator.NE | Comparator.AP:
            return None


def _is_begun(term: DateTerm) -> ColumnElement[bool] | None:
    """That the row's clinical date is as a short date that is asked for so may have begun."""
    span = instants_asked(term)
    return None if span is None else resources.c.instant.between(instant_text(span[0]), instant_text(span[1]))
