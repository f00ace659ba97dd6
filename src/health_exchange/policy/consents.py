"""What a person's consents come to for one question, as plain text that ``policy.engine.decide`` takes.

Plain text has no conditions: ``deny:*`` objects to everything, ``deny:HIV,PSY;permit:HIV`` to two categories and grants
one. What is kept of a person may have conditions (``policy.consent_rules``); ``effective`` makes it plain.
"""

from dataclasses import dataclass
from functools import lru_cache

from health_exchange.model.sensitivity import SensitiveCategory

NOTHING_SAID = ""
OBJECTS_TO_ALL = "deny:*"
RESTRICTED = "R"
"""Beside the sensitive categories: what is at level 4 or 5 by its label alone and belongs to none of them."""
_PREFIX = "deny:"
_GRANTS = "permit:"
_DENIABLE = frozenset({*SensitiveCategory, RESTRICTED})


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsentClass:
    """What a person objects to, and what strictly restricted records the person lets be shared.

    Attributes:
        objects: To all sharing, even to telling where there is something.
        objections: To sharing records of these categories.
        grants: Sharing of strictly restricted records of these categories.
    """

    objects: bool = False
    objections: frozenset[str] = frozenset()
    grants: frozenset[str] = frozenset()

    def __str__(self) -> str:
        """The text that stands for it: equal classes have equal texts."""
        if self.objects:
            return OBJECTS_TO_ALL
        denied = _PREFIX + ",".join(sorted(self.objections)) if self.objections else ""
        granted = _GRANTS + ",".join(sorted(self.grants)) if self.grants else ""
        return ";".join(part for part in (denied, granted) if part) or NOTHING_SAID


@lru_cache(maxsize=1024)
def read_consent_class(text: str) -> ConsentClass:
    """The class that ``text`` stands for; a text that is not plain, or none of ours, objects to everything."""
    said = {"deny": frozenset[str](), "permit": frozenset[str]()}
    for part in text.split(";") if text != NOTHING_SAID else ():
        verb, _colon, names = part.partition(":")
        said[verb] = frozenset(names.split(","))
    if said.keys() == {"deny", "permit"} and said["deny"] <= _DENIABLE and said["permit"] <= set(SensitiveCategory):
        found = ConsentClass(objections=said["deny"], grants=said["permit"])
        if str(found) == text:
            return found
    return ConsentClass(objects=True)
