"""Our table of elements against the models of fhir.resources: which elements a type has, lists, required ones.

Where a name, an array or a requirement differs, a row says why: R4B changed it, fhir.resources left it out, or
(``defect:``) our table holds what R4 does not have.
"""

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any

from fhir.resources.R4B import get_fhir_model_class
from tests.fhir.test_differential_validation import ONLY_R4

from health_exchange.fhir.elements import elements_of, resource_types

_R5 = "R4B took it from R5"
_OPEN = "the open list of types: R4B added two, fhir.resources left out Meta"
_FOREIGN = "defect: not in FHIR R4 (4.0.1); the shared definitions carry additions of another product or release"
_NOT_COMPARED = frozenset({"fhir_comments", "resourceType"})

EXPLAINED: Mapping[str, str] = MappingProxyType(
    {
        "ActivityDefinition.subjectCanonical": _R5,
        "PlanDefinition.subjectCanonical": _R5,
        "PlanDefinition.action.subjectCanonical": _R5,
        "MarketingStatus.country": "required in R4, optional in R4B",
        "MarketingStatus.dateRange": "required in R4, optional in R4B",
        **{
            f"{stem}{name}": _OPEN
            for stem in (
                "ElementDefinition.defaultValue",
                "ElementDefinition.fixed",
                "ElementDefinition.pattern",
                "ElementDefinition.example.value",
                "Extension.value",
            )
            for name in ("Meta", "CodeableReference", "RatioRange")
        },
        **{
            f"Meta.{name}": _FOREIGN
            for name in ("account", "accounts", "author", "compartment", "onBehalfOf", "project")
        },
        **{
            f"ResearchStudy.{name}": f"{_FOREIGN}; its schema refuses them"
            for name in (
                "associatedParty",
                "classifier",
                "comparisonGroup",
                "descriptionSummary",
                "label",
                "name",
                "objective.description",
                "outcomeMeasure",
                "progressStatus",
                "recruitment",
                "region",
                "result",
                "studyDesign",
                "whyStopped",
            )
        },
        "Binary.url": _FOREIGN,
        "DeviceDefinition.bodySite": _FOREIGN,
        "DeviceDefinition.classification": _FOREIGN,
        "ObservationDefinition.publisher": _FOREIGN,
    }
)
"""Elements that differ, by path, and why."""


def differences() -> Iterator[str]:
    waiting = [*sorted(resource_types() - ONLY_R4.keys()), "MarketingStatus"]
    seen = set(waiting)
    while waiting:
        type_name = waiting.pop()
        try:
            model = get_fhir_model_class("".join(step[0].upper() + step[1:] for step in type_name.split(".")))
        except ValueError:
            yield type_name
            continue
        theirs = {field.alias or name: field for name, field in model.model_fields.items()}
        names = {name for name in theirs if not name.startswith("_")} - _NOT_COMPARED
        ours = elements_of(type_name)
        yield from (f"{type_name}.{name}" for name in names ^ (ours.keys() - _NOT_COMPARED))
        for name in names & ours.keys():
            element = ours[name]
            if (element.is_list, element.is_required) != _cardinality(theirs[name]):
                yield f"{type_name}.{name}"
            if element.type[0].isupper() and element.type not in seen:
                seen.add(element.type)
                waiting.append(element.type)


def _cardinality(field: Any) -> tuple[bool, bool]:  # noqa: ANN401  # a field of pydantic
    """Whether the model's element is a list, and whether it must be there."""
    extra = field.json_schema_extra or {}
    is_required = field.is_required() or extra.get("element_required") or extra.get("one_of_many_required")
    return "List[" in str(field.annotation), bool(is_required)


def test_every_element_is_as_the_other_library_has_it_but_for_the_explained() -> None:
    assert sorted(differences()) == sorted(EXPLAINED)
