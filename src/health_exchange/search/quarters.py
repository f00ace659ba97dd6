"""When what is searched for by date may have begun, as the index knows it: by clinical date, and by code and quarter.

Pure. A date that is short (``fhir.parameters.short_instant``) is told by the row's clinical date, and, of what has a
code, by a token of the code and the quarter of that date. All others have one token, whenever they began (ADR 38, 49).
Whatever is said here of a date is said too widely rather than too narrowly.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

from health_exchange.model.secrecy import Secret
from health_exchange.search.spans import EARLIEST, LATEST, Comparator
from health_exchange.search.terms import Criterion, DateTerm, SearchQuery, TokenTerm
from health_exchange.search.tokens import QUARTERS, has_quarters, quarter_tokens_asked, quarters_between

ASKED_MAX = 400
"""As many tokens are looked up at less cost than that of the rows which they leave out."""
_SHORT = timedelta(days=2)
"""A date that is short ends at most so long after its instant, or before it."""


def instants_asked(term: DateTerm) -> tuple[datetime, datetime] | None:
    """From when to when a short date that is asked for so may have begun, both included; ``None`` for whenever."""
    earliest = _earlier(term.start)
    match term.comparator:
        case Comparator.GT | Comparator.GE | Comparator.SA:
            # Whatever lies above or within begins at most as much before the end as it lasts.
            return min(earliest, _earlier(term.end)), LATEST
        case Comparator.LT | Comparator.EB:
            return EARLIEST, _later(term.start)
        case Comparator.LE:
            return EARLIEST, _later(term.end)
        case Comparator.EQ:
            return earliest, _later(term.end)
        case Comparator.NE | Comparator.AP:
            return None


def code_and_quarter_tokens(key: Secret, query: SearchQuery, coded: Criterion) -> Sequence[int]:
    """The tokens one of which whatever has a code and a date as they are asked for has.

    None where no date is asked for by which there are few of them, or the codes are not known as texts.

    Args:
        key: The node's token key.
        query: What is asked of one type.
        coded: That of its criteria which asks for the code, without a modifier.
    """
    quarters = _quarters(query)
    is_known = all(isinstance(term, TokenTerm) and term.code for term in coded.terms)
    if not is_known or len(quarters) == len(QUARTERS) or not has_quarters(query.type):
        return ()
    codes = {term.code for term in coded.terms if isinstance(term, TokenTerm)}
    if len(codes) * (len(quarters) + 1) > ASKED_MAX:
        return ()
    return sorted(quarter_tokens_asked(key, query.type, codes, quarters))


def _quarters(query: SearchQuery) -> set[int]:
    """As of which quarters whatever has a short date as it is asked for may count."""
    quarters = set(QUARTERS)
    for criterion in query.criteria:
        spans = [instants_asked(term) for term in criterion.terms if isinstance(term, DateTerm)]
        is_told = len(spans) == len(criterion.terms) and None not in spans
        if criterion.name == "date" and not criterion.modifier and is_told:
            quarters &= {each for span in spans if span is not None for each in quarters_between(*span)}
    return quarters


def _earlier(moment: datetime) -> datetime:
    return max(moment, EARLIEST + _SHORT) - _SHORT


def _later(moment: datetime) -> datetime:
    return min(moment, LATEST - _SHORT) + _SHORT
