"""Everything a person has said about sharing, as one canonical text: objections and grants with their conditions.

Where nothing has a condition, the text is the plain one of ``policy.consents``; else it is ``rules:`` and JSON.
``decide`` takes plain texts only and reads any other as an objection to everything, so that forgetting
:func:`effective` refuses.

In doubt an objection holds and a grant or an exception does not: doubt is an asker without an organisation, or a record
whose date is not known.
"""

from collections.abc import Iterable, Iterator
from datetime import datetime
from functools import lru_cache
from typing import TypeVar

import msgspec

from health_exchange.model.purposes import Purpose
from health_exchange.model.sensitivity import SensitiveCategory
from health_exchange.policy.consents import NOTHING_SAID, OBJECTS_TO_ALL, RESTRICTED, ConsentClass, read_consent_class
from health_exchange.policy.periods import instant_text, read_instant_text

EVERYTHING = frozenset({*map(str, SensitiveCategory), RESTRICTED})
TEXT_MAX = 8192
"""A longer text is none that a person can have meant; it objects to everything."""
_PREFIX = "rules:"


class Scope(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Which records, for whom, what for, and when.

    Attributes:
        kinds: Categories, or ``R`` for what is restricted by label alone.
        organizations: Unified social credit codes; ``None`` for everybody.
        purposes: ``None`` for any.
        since: First instant it holds, as text; empty for always.
        until: First instant it holds no more.
        data_since: Only records whose clinical date is not before it.
        data_until: Only records whose clinical date is before it.
    """

    kinds: tuple[str, ...]
    organizations: tuple[str, ...] | None = None
    purposes: tuple[str, ...] | None = None
    since: str = ""
    until: str = ""
    data_since: str = ""
    data_until: str = ""

    @property
    def is_limited(self) -> bool:
        """Whether it has any condition."""
        return self.picks_askers or self.picks_data or bool(self.since or self.until)

    @property
    def picks_askers(self) -> bool:
        """Whether it holds for some askers only."""
        return self.organizations is not None or self.purposes is not None

    @property
    def picks_data(self) -> bool:
        """Whether it holds for some records' dates only."""
        return bool(self.data_since or self.data_until)

    def is_active(self, at: str) -> bool:
        """Whether it holds at an instant."""
        return self.since <= at and (not self.until or at < self.until)


class Objection(Scope, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A scope that is not to be shared, but for its exceptions."""

    exceptions: tuple[Scope, ...] = ()


_S = TypeVar("_S", bound=Scope)


class ConsentRules(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """All that is said of one person: objections, and grants of strictly restricted records."""

    objections: tuple[Objection, ...] = ()
    grants: tuple[Scope, ...] = ()


def write_rules(rules: ConsentRules) -> str:
    """The canonical text: equal rules in any order have equal texts."""
    objections, grants = _sorted(rules.objections), _sorted(rules.grants)
    plain = [each for each in objections if not each.is_limited and not each.exceptions]
    if any(set(each.kinds) >= EVERYTHING for each in plain):
        return OBJECTS_TO_ALL
    if len(plain) == len(objections) and not any(grant.is_limited for grant in grants):
        return str(
            _plain(
                {kind for each in plain for kind in each.kinds},
                {kind for grant in grants for kind in grant.kinds},
            )
        )
    text = _PREFIX + msgspec.json.encode(ConsentRules(objections=objections, grants=grants)).decode()
    return text if len(text) <= TEXT_MAX else OBJECTS_TO_ALL


@lru_cache(maxsize=4096)
def read_rules(text: str) -> ConsentRules:
    """The rules behind a text; one that is none of ours objects to everything."""
    if text.startswith(_PREFIX) and len(text) <= TEXT_MAX:
        try:
            rules = msgspec.json.decode(text.removeprefix(_PREFIX), type=ConsentRules)
            if write_rules(rules) == text:
                return rules
        except (msgspec.MsgspecError, ValueError, RecursionError):
            pass
    said = read_consent_class(text)
    objections = EVERYTHING if said.objects else said.objections
    return ConsentRules(
        objections=(Objection(kinds=tuple(sorted(objections))),) if objections else (),
        grants=(Scope(kinds=tuple(sorted(said.grants))),) if said.grants else (),
    )


def effective(text: str, *, at: datetime, organization: str, purpose: Purpose, data_at: str | None = None) -> str:
    """What a person's consents come to for one asker now, as the plain text that ``decide`` takes.

    Args:
        text: What is kept of the person, as :func:`write_rules` wrote it.
        at: When it is asked.
        organization: The asker's unified social credit code; empty where it is not known.
        purpose: Why it is asked.
        data_at: Clinical date of the record in question, as the store keeps it; ``None`` where not known.
    """
    if text == NOTHING_SAID:
        return text
    if not text.startswith(_PREFIX):
        return str(read_consent_class(text))
    asked = _Asked(at=instant_text(at), organization=organization, purpose=str(purpose), data_at=data_at)
    denied: set[str] = set()
    rules = read_rules(text)
    for objection in rules.objections:
        if _covers(objection, asked, in_doubt=True):
            excepted = {
                kind for each in objection.exceptions if _covers(each, asked, in_doubt=False) for kind in each.kinds
            }
            denied |= set(objection.kinds) - excepted
    granted = {kind for grant in rules.grants if _covers(grant, asked, in_doubt=False) for kind in grant.kinds}
    return str(_plain(denied, granted))


def is_findable(text: str, *, at: datetime) -> bool:
    """Whether anybody may learn that there is something of the person: somebody may see some of it."""
    if not text.startswith(_PREFIX):
        return not read_consent_class(text).objects
    now = instant_text(at)
    denied: set[str] = set()
    for objection in read_rules(text).objections:
        if objection.is_active(now) and not objection.picks_askers and not objection.picks_data:
            excepted = {kind for each in objection.exceptions if each.is_active(now) for kind in each.kinds}
            denied |= set(objection.kinds) - excepted
    return not denied >= EVERYTHING


def next_change(text: str, *, after: datetime) -> datetime | None:
    """When time alone next changes what a text comes to; ``None`` for never."""
    now = instant_text(after)
    bounds = [bound for scope in _scopes(read_rules(text)) for bound in (scope.since, scope.until) if bound > now]
    return read_instant_text(min(bounds)) if bounds else None


def combined(own: str, others: Iterable[str]) -> str:
    """A holder's own text with everybody's objections; grants are the holder's own."""
    mine = read_rules(own)
    theirs = [objection for other in others for objection in read_rules(other).objections]
    return write_rules(ConsentRules(objections=(*mine.objections, *theirs), grants=mine.grants))


def of_any_date(text: str) -> str:
    """A text as it is for the record whose date suits best: whether anything at all may be seen."""
    rules = read_rules(text)
    kept = [_undated(objection) for objection in rules.objections if not objection.picks_data]
    return write_rules(ConsentRules(objections=tuple(kept), grants=rules.grants))


@lru_cache(maxsize=4096)
def as_copied(text: str) -> str:
    """What those who hold copies need of a text: what binds some askers only, or begins or ends by itself.

    Everything else the origin has done already by handing out nothing else: categories and dates that an objection
    names are not told on, and grants are about what is never copied.
    """
    if not text.startswith(_PREFIX):
        return OBJECTS_TO_ALL if read_consent_class(text).objects else NOTHING_SAID
    kept = [_for_copies(objection) for objection in read_rules(text).objections if _binds_copies(objection)]
    return write_rules(ConsentRules(objections=tuple(kept)))


def _undated(objection: Objection) -> Objection:
    """An objection whose exceptions hold for records of any date."""
    exceptions = [msgspec.structs.replace(each, data_since="", data_until="") for each in objection.exceptions]
    return msgspec.structs.replace(objection, exceptions=tuple(exceptions))


def _for_copies(objection: Objection) -> Objection:
    """An objection as copies need it.

    One for everybody was obeyed when the copy was handed out, dates and all. One for some askers was not: of it, an
    exception for some dates would be one for all of them where no date is asked about.
    """
    if not objection.picks_askers:
        return _undated(objection)
    kept = tuple(each for each in objection.exceptions if not each.picks_data)
    return msgspec.structs.replace(objection, exceptions=kept)


def _binds_copies(objection: Objection) -> bool:
    """Whether an objection may forbid somebody a copy that the origin has handed out."""
    if objection.picks_askers or any(each.picks_askers for each in objection.exceptions):
        return True
    is_timed = any(each.since or each.until for each in (objection, *objection.exceptions))
    return is_timed and not objection.picks_data


class _Asked(msgspec.Struct, frozen=True, kw_only=True):
    """One question: when, by which organisation, what for, about a record of which date."""

    at: str
    organization: str
    purpose: str
    data_at: str | None


def _covers(scope: Scope, asked: _Asked, *, in_doubt: bool) -> bool:
    """Whether a scope holds for a question; ``in_doubt`` where it cannot be told."""
    if not scope.is_active(asked.at) or (scope.purposes is not None and asked.purpose not in scope.purposes):
        return False
    doubts = False
    if scope.organizations is not None:
        if asked.organization and asked.organization not in scope.organizations:
            return False
        doubts = not asked.organization
    if scope.picks_data:
        if asked.data_at is None:
            doubts = True
        elif asked.data_at < scope.data_since or (scope.data_until and asked.data_at >= scope.data_until):
            return False
    return in_doubt if doubts else True


def _plain(denied: set[str], granted: set[str]) -> ConsentClass:
    """The class of what is denied and granted; a kind that nobody knows may be any where it is denied."""
    is_all = denied >= EVERYTHING or not denied <= EVERYTHING
    grants = granted & EVERYTHING - {RESTRICTED}
    return ConsentClass(objects=is_all, objections=frozenset(denied), grants=frozenset(grants))


def _scopes(rules: ConsentRules) -> Iterator[Scope]:
    """Every scope of the rules."""
    for objection in rules.objections:
        yield objection
        yield from objection.exceptions
    yield from rules.grants


def _sorted(scopes: Iterable[_S]) -> tuple[_S, ...]:
    """Each once, in an order of their texts, their parts in order too."""
    return tuple(sorted({_ordered(scope) for scope in scopes}, key=msgspec.json.encode))


def _ordered(scope: _S) -> _S:
    """The same scope with its parts in order."""
    changes: dict[str, object] = {"kinds": tuple(sorted(set(scope.kinds)))}
    for name, values in (("organizations", scope.organizations), ("purposes", scope.purposes)):
        changes[name] = tuple(sorted(set(values))) if values is not None else None
    if isinstance(scope, Objection):
        changes["exceptions"] = _sorted(scope.exceptions)
    return msgspec.structs.replace(scope, **changes)
