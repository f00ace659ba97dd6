"""FHIR's own search expressions, evaluated by somebody else's program (fhirpathpy)."""

import json
import re
import tarfile
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import pytest

DEFINITIONS = Path(__file__).parents[3] / "shared/definitions/fhir-r4-definitions.tar.xz"
Evaluate = Callable[[Mapping[str, Any], None], list[Any]]


def definitions() -> Iterator[dict[str, Any]]:
    """The official search parameters."""
    if not DEFINITIONS.exists():
        pytest.skip(f"{DEFINITIONS} is not here")
    with tarfile.open(DEFINITIONS) as archive:
        file = archive.extractfile("search-parameters.json")
        assert file is not None
        yield from (entry["resource"] for entry in json.load(file)["entry"])


@cache
def evaluation(expression: str) -> Evaluate:
    """FHIR's expression, evaluated by somebody else's program."""
    from fhirpathpy import compile as compiled
    from fhirpathpy.models import models

    found: Evaluate = compiled(expression, models["r4"])
    return found


def asked(definition: dict[str, Any], resource_type: str) -> list[str]:
    """The terms about one type, as the evaluator takes them: it casts no lists, which R4's expressions do."""
    terms = [term.strip().removeprefix("Resource.") for term in definition["expression"].split("|")]
    about = [term for term in terms if re.match(rf"\(?{resource_type}\b", term)] or terms
    return [
        re.sub(r"\.as\((\w+)\)", r".ofType(\1)", re.sub(r"(\S+) as (\w+)", r"\1.ofType(\2)", term)) for term in about
    ]


def canonical(values: list[Any]) -> list[str]:
    """Values without repetition, in an order that does not matter."""
    return sorted({json.dumps(value, sort_keys=True, default=float) for value in values})


def plain(value: Any) -> Any:  # noqa: ANN401  # the evaluator's values
    """A value of the evaluator as JSON."""
    return value.asStr if hasattr(value, "asStr") else value


def by_expression(definition: dict[str, Any], resource: dict[str, Any]) -> list[Any]:
    """What FHIRPath gives; a reference that must resolve to a type is one whose text names it."""
    values: list[Any] = []
    for term in asked(definition, resource["resourceType"]):
        expression, _, rest = term.partition(".where(resolve() is ")
        wanted = f"{rest.partition(')')[0]}/" if rest else ""
        found = [plain(value) for value in evaluation(expression)(resource, None)]
        values += [value for value in found if not wanted or wanted in str(value.get("reference", ""))]
    return values


class Together(NamedTuple):
    """One place where the components of a composite stand: the kind of each, and its values there."""

    components: tuple[tuple[str, list[Any]], ...]


def together(definition: dict[str, Any], resource: dict[str, Any]) -> Iterator[Together]:
    """What FHIRPath gives for the components of a composite, place by place."""
    for place in (term.strip() for term in definition["expression"].split("|")):
        if not re.match(rf"{resource['resourceType']}\b", place):
            continue
        for at in range(len(evaluation(place)(resource, None))):
            # By its place in the whole: of an element alone nobody knows the type.
            here = f"{place}[{at}]" if "." in place else place
            yield Together(
                tuple((kinds()[each["definition"]], _below(here, each, resource)) for each in definition["component"])
            )


@cache
def kinds() -> Mapping[str, str]:
    """The kind of each parameter, by URL."""
    return {each["url"]: each["type"] for each in definitions()}


def _below(place: str, component: dict[str, Any], resource: dict[str, Any]) -> list[Any]:
    """The values of one component."""
    terms = [re.sub(r"\.as\((\w+)\)", _of_type, term.strip()) for term in component["expression"].split("|")]
    return [plain(value) for term in terms for value in evaluation(f"{place}.{term}")(resource, None)]


def _of_type(match: re.Match[str]) -> str:
    """R4 writes DateTime where the type is dateTime."""
    return f".ofType({'dateTime' if match[1] == 'DateTime' else match[1]})"
