"""How sensitive a resource is: our five levels, after GB/T 39725, and the category that makes it so.

``policy.classification`` derives them from codes and labels; ``policies/`` says who may open which.
"""

from dataclasses import dataclass
from enum import IntEnum, StrEnum
from functools import lru_cache


class Sensitivity(IntEnum):
    """The scale. Higher is more restricted."""

    OPEN = 1
    ROUTINE = 2  # administrative and preventive
    CLINICAL = 3  # general clinical
    SENSITIVE = 4  # psychiatric, reproductive, genetic, abuse
    RESTRICTED = 5  # HIV and what the law lists beside it


class SensitiveCategory(StrEnum):
    """Why a resource is at level 4 or 5, and what a consent may name. Codes of HL7 ActCode where one exists."""

    GENERAL = "general"
    PSYCHIATRIC = "PSY"
    REPRODUCTIVE = "SEX"
    GENETIC = "GDIS"
    ABUSE = "SDV"
    SUBSTANCE = "SUD"
    HIV = "HIV"


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class ResourceClass:
    """What policy needs to know of a resource, interned so that one decision serves all resources of the class."""

    type: str
    sensitivity: Sensitivity
    category: SensitiveCategory
    jurisdiction: str
    """Address of the origin node."""


@lru_cache(maxsize=65_536)
def class_of(resource_type: str, sensitivity: int, category: str, jurisdiction: str) -> ResourceClass:
    """The class, the same object for equal ones.

    Raises:
        ValueError: There is no such level or category.
    """
    return ResourceClass(
        type=resource_type,
        sensitivity=Sensitivity(sensitivity),
        category=SensitiveCategory(category),
        jurisdiction=jurisdiction,
    )
