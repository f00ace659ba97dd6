"""Subjects: whose a resource is, known by an anchor at the origin and by a pseudonym everywhere.

Subject 0 owns the directory resources, which are nobody's.
"""

from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from typing import Any

import msgspec
from sqlalchemy import Row, bindparam, select, update

from health_exchange.model.errors import Category, ExchangeError
from health_exchange.model.identifiers import Pseudonym
from health_exchange.model.secrecy import Secret
from health_exchange.store import feed, tallies
from health_exchange.store.among import among, rows_among
from health_exchange.store.schema import subjects
from health_exchange.store.transaction import Transaction

DIRECTORY_SID = 0
KEY_BYTES = 32


class SubjectState(StrEnum):
    """What is known of a subject's identity."""

    KNOWN = "known"
    NO_IDENTITY = "no-identity"
    AWAITING_PSEUDONYM = "awaiting-pseudonym"
    SHREDDED = "shredded"


class ShreddedSubjectError(ExchangeError):
    """The subject's key was destroyed."""

    category = Category.GONE
    code = "shredded"


class Subject(msgspec.Struct, frozen=True, kw_only=True):
    """One subject.

    Attributes:
        sid: Row number.
        anchor: ``Patient/<id>`` at the origin; above it origin and pseudonym: each origin's part has its own key.
        pseudonym: Where known.
        state: Of its identity.
        consent: Consent class as ``policy.consents`` writes it; empty for none.
        key: Seals its bodies.
    """

    sid: int
    anchor: str | None
    pseudonym: Pseudonym | None
    state: SubjectState
    consent: str
    key: Secret


_COLUMNS = (
    subjects.c.sid,
    subjects.c.anchor,
    subjects.c.pseudonym,
    subjects.c.state,
    subjects.c.consent,
    subjects.c.key_wrapped,
)
_ALIVE = select(*_COLUMNS).where(subjects.c.key_wrapped.is_not(None))
_BY_ANCHOR = _ALIVE.where(subjects.c.anchor == bindparam("anchor"))
_BY_PSEUDONYM = _ALIVE.where(subjects.c.pseudonym == bindparam("pseudonym")).order_by(subjects.c.sid)
_OF = subjects.c.sid == bindparam("of")
_SET_STATE = update(subjects).where(_OF).values(state=bindparam("to_state"))
_NAME = update(subjects).where(_OF).values(pseudonym=bindparam("to_pseudonym"), state=bindparam("to_state"))
_BY_SIDS = _ALIVE.where(among(subjects.c.sid, "sids"))


def find_or_make_subject(
    tx: Transaction, *, anchor: str | None = None, pseudonym: Pseudonym | None = None, state: str | None = None
) -> Subject:
    """The subject with ``anchor`` (at the origin) or else with ``pseudonym`` (above it), made if new.

    Args:
        tx: The transaction.
        anchor: Decides alone where it is given.
        pseudonym: For a new subject, or to look for where there is no anchor.
        state: For a new subject; by default known with a pseudonym, no-identity without.
    """
    if anchor is None and pseudonym is None:
        raise ValueError("a subject has an anchor or a pseudonym")
    found = by_anchor(tx, anchor) if anchor is not None else next(iter(subjects_of(tx, pseudonym)), None)
    if found is not None:
        return found
    return make_subject(tx, anchor, pseudonym, state)


def make_subject(
    tx: Transaction, anchor: str | None, pseudonym: Pseudonym | None = None, state: str | None = None
) -> Subject:
    """As :func:`find_or_make_subject`, where there is none yet."""
    return _make(tx, tx.allocate("subjects"), anchor, pseudonym, state)


def directory_subject(tx: Transaction) -> Subject:
    """Subject 0, whose key seals what is nobody's."""
    found = by_sids(tx, [DIRECTORY_SID])
    return found[DIRECTORY_SID] if found else _make(tx, DIRECTORY_SID, None, None, SubjectState.KNOWN)


def by_anchor(tx: Transaction, anchor: str) -> Subject | None:
    """The subject of a Patient at its origin."""
    return next((_read(tx, row) for row in tx.rows(_BY_ANCHOR, {"anchor": anchor})), None)


def subjects_of(tx: Transaction, pseudonym: Pseudonym | None) -> Sequence[Subject]:
    """All subjects known by ``pseudonym``: at an origin one person may have several Patients."""
    return [_read(tx, row) for row in tx.rows(_BY_PSEUDONYM, {"pseudonym": pseudonym})]


def by_sids(tx: Transaction, sids: Iterable[int]) -> dict[int, Subject]:
    """Living subjects by row number."""
    return {row.sid: _read(tx, row) for row in rows_among(tx, _BY_SIDS, "sids", sids)}


def assign_pseudonym(tx: Transaction, sid: int, pseudonym: Pseudonym) -> int:
    """Give a subject its pseudonym, or a corrected one; how many feed rows follow from it.

    A first pseudonym releases all its current resources to the sender again; a corrected one tells those who hold them
    (``reassign``), and passes them again too, because their bodies name the person.
    """
    subject = by_sids(tx, [sid]).get(sid)
    if subject is None:
        raise ShreddedSubjectError("the subject's records were destroyed")
    tx.execute(_NAME, {"of": sid, "to_pseudonym": pseudonym, "to_state": SubjectState.KNOWN.value})
    tallies.touch(tx, [sid])
    if subject.pseudonym == pseudonym and subject.state is SubjectState.KNOWN:
        return 0
    # What came while the subject waited was passed over by the sender, so it all passes again.
    previous = subject.pseudonym if subject.pseudonym != pseudonym else None
    count = feed.add_for_subject(tx, sid, "reassign", pseudonym, previous) if previous is not None else 0
    return count + feed.add_for_subject(tx, sid, "put", pseudonym, None)


def set_state(tx: Transaction, sid: int, state: SubjectState) -> None:
    """Say what is known of a subject's identity. Where that is less than before, its records pass the sender again.

    They are then taken back from whoever holds them under a person it may not be.
    """
    subject = by_sids(tx, [sid])[sid]
    if subject.state is SubjectState.KNOWN and state is not SubjectState.KNOWN:
        feed.add_for_subject(tx, sid, "put", subject.pseudonym, None)
    tx.execute(_SET_STATE, {"of": sid, "to_state": state.value})


def set_consent(tx: Transaction, sid: int, consent: str, changes_at: str | None = None) -> bool:
    """Keep the consent text; whether it changed, in which case all resources pass the sender again.

    Args:
        tx: The transaction.
        sid: The subject.
        consent: The text.
        changes_at: When time alone next changes what it comes to; ``None`` for never.
    """
    subject = by_sids(tx, [sid])[sid]
    if subject.consent == consent:
        return False
    note_consent(tx, sid, consent, changes_at)
    feed.add_for_subject(tx, sid, "put", subject.pseudonym, None)
    return True


def note_consent(tx: Transaction, sid: int, consent: str, changes_at: str | None = None) -> None:
    """Keep the consent text, for whoever reads; nothing passes the sender."""
    tx.execute(update(subjects).where(subjects.c.sid == sid).values(consent=consent, consent_changes_at=changes_at))


def consents_due(tx: Transaction, at: str, limit: int) -> list[Subject]:
    """Living subjects whose consent comes to something else since ``at`` or before."""
    due = _ALIVE.where(subjects.c.consent_changes_at <= at).order_by(subjects.c.sid).limit(limit)
    return [_read(tx, row) for row in tx.execute(due)]


def consents_by_sids(tx: Transaction, sids: Iterable[int]) -> Mapping[int, str]:
    """Consent texts of living subjects."""
    return {sid: subject.consent for sid, subject in by_sids(tx, sids).items()}


def _make(tx: Transaction, sid: int, anchor: str | None, pseudonym: Pseudonym | None, state: str | None) -> Subject:
    key = Secret(tx.randomness(KEY_BYTES))
    chosen = SubjectState(state or (SubjectState.KNOWN if pseudonym else SubjectState.NO_IDENTITY))
    tx.insert_many(subjects, [(sid, anchor, pseudonym, chosen.value, "", None, tx.ring.wrap(key))])
    return Subject(sid=sid, anchor=anchor, pseudonym=pseudonym, state=chosen, consent="", key=key)


def _read(tx: Transaction, row: Row[Any]) -> Subject:
    return Subject(
        sid=row.sid,
        anchor=row.anchor,
        pseudonym=row.pseudonym,
        state=SubjectState(row.state),
        consent=row.consent,
        key=tx.ring.unwrap(row.key_wrapped),
    )
