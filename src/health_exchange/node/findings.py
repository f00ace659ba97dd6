"""What is found in a resource when it is validated, so that nobody has to decode it again before it is kept.

References are as they are written: a transaction rewrites them when it is known where everything goes. No rewriting
changes what else is found here, and ``tests/node/test_drafting.py`` holds that against the bytes that are kept.
"""

import msgspec

from health_exchange.fhir.parameters import SearchValue, instant_of, written_values
from health_exchange.fhir.subjects import subject_references
from health_exchange.fhir.validation import ResourceView
from health_exchange.model.sensitivity import SensitiveCategory, Sensitivity
from health_exchange.node.persons import best_identity
from health_exchange.policy.classification import sensitivity_of
from health_exchange.pseudonym.identities import Identity
from health_exchange.search.tokens import indexed_for


class Findings(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """What deciding about a resource, finding and keeping it takes.

    Attributes:
        sensitivity: How sensitive it is.
        category: What makes it so.
        values: What it is found by, references as written.
        subjects: Texts of the references of which the first to a patient says whose it is.
        instant: Clinical date, for order.
        identity: Of a Patient, the identity that decides who it is.
    """

    sensitivity: Sensitivity
    category: SensitiveCategory
    values: tuple[SearchValue, ...] = ()
    subjects: tuple[str, ...] = ()
    instant: str | None = None
    identity: Identity | None = None


def findings_of(view: ResourceView, *, where: str) -> Findings:
    """What is found in a validated resource.

    Raises:
        InvalidIdentityError: A Patient's identifier cannot be right.
    """
    sensitivity, category = sensitivity_of(view.decoded, view.raw)
    return Findings(
        sensitivity=sensitivity,
        category=category,
        values=tuple(written_values(view.decoded, indexed_for(view.type))),
        subjects=tuple(subject_references(view.type, view.decoded)),
        instant=instant_of(view.decoded),
        identity=best_identity(view.decoded, where=where) if view.type == "Patient" else None,
    )
