"""Our judgement of spoilt and of sound resources against that of fhir.resources, an implementation by others.

Mutants are made from the official examples, by seed. Where the two judges differ, or both differ from what the kind of
mutation promises, a row of ``EXPLAINED`` says why; without a row the test fails and tells kind, type and place, never
a value. fhir.resources knows R4B, not R4: the types that changed in between are left out by name and reason.

A row that explains nothing any more must go, which the long run demands.
"""

import json
import tarfile
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from itertools import islice
from random import Random
from types import MappingProxyType
from typing import Any

import pytest
from fhir.resources.R4B import get_fhir_model_class
from tests.examples import EXAMPLES, examples
from tests.fhir.mutations import EITHER, KINDS, SOUND, UNSOUND
from tests.fhir.scenes import Change, packed, scene_of

from health_exchange.fhir.elements import resource_types
from health_exchange.fhir.validation import validate
from health_exchange.model.errors import MalformedResourceError

SYNTHEA = EXAMPLES.with_name("synthea-r4-150.tar.xz")
SYNTHEA_PATIENTS, SYNTHEA_OF_A_TYPE = 3, 3
SEED = 20261124
MUTANTS_FAST = 2_000
MUTANTS_SLOW = 10_000
BORROWED_BYTES_MAX = 400

_GONE = "R4B has no such type: medicinal products and substances were defined anew"
_SYNTHESIS = "R4B has no such type: evidence was defined anew"
ONLY_R4: Mapping[str, str] = MappingProxyType(
    {
        "EffectEvidenceSynthesis": _SYNTHESIS,
        "RiskEvidenceSynthesis": _SYNTHESIS,
        "Evidence": "the same name in R4B, another type",
        "EvidenceVariable": "the same name in R4B, another type",
        "MedicinalProduct": _GONE,
        "MedicinalProductAuthorization": _GONE,
        "MedicinalProductContraindication": _GONE,
        "MedicinalProductIndication": _GONE,
        "MedicinalProductIngredient": _GONE,
        "MedicinalProductInteraction": _GONE,
        "MedicinalProductManufactured": _GONE,
        "MedicinalProductPackaged": _GONE,
        "MedicinalProductPharmaceutical": _GONE,
        "MedicinalProductUndesirableEffect": _GONE,
        "SubstanceNucleicAcid": _GONE,
        "SubstancePolymer": _GONE,
        "SubstanceProtein": _GONE,
        "SubstanceReferenceInformation": _GONE,
        "SubstanceSourceMaterial": _GONE,
        "SubstanceSpecification": _GONE,
    }
)
"""Types of which fhir.resources cannot be asked, and why."""


class Side(StrEnum):
    """Who took a mutant."""

    WE_REFUSE = "only we refuse"
    WE_ACCEPT = "only we accept"
    BOTH_ACCEPT = "both accept"
    BOTH_REFUSE = "both refuse"


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutant:
    """One changed example and the two judgements on it."""

    kind: str
    change: Change
    side: Side
    says: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.side} at {self.change.path} ({self.change.type}) {self.says}".rstrip()

    @property
    def is_as_promised(self) -> bool:
        """Whether the judges agree, and with the kind."""
        if self.kind in EITHER:
            return self.side in {Side.BOTH_ACCEPT, Side.BOTH_REFUSE}
        return self.side == (Side.BOTH_ACCEPT if self.kind in SOUND else Side.BOTH_REFUSE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Explained:
    """One row: why mutants of some kinds are judged so; ``says`` begins our refusal, ``at`` is in the path."""

    kinds: tuple[str, ...]
    side: Side
    reason: str
    says: str = ""
    types: frozenset[str] = frozenset()
    at: str = ""

    def covers(self, mutant: Mutant) -> bool:
        """Whether the row is about ``mutant``."""
        return (
            mutant.kind in self.kinds
            and self.side == mutant.side
            and mutant.says.startswith(self.says)
            and self.at in mutant.change.path
            and (not self.types or mutant.change.type in self.types)
        )


def _lenient(kind: str, says: str, reason: str, *types: str) -> Explained:
    return Explained(kinds=(kind,), side=Side.WE_REFUSE, says=says, reason=reason, types=frozenset(types))


def _unjudged(kind: str, reason: str) -> Explained:
    return Explained(kinds=(kind,), side=Side.BOTH_ACCEPT, reason=reason)


_PYDANTIC = "pydantic converts: R4 2.6.2 wants a JSON number or truth value, others who read it do not convert"
_NUMBER = ("integer", "unsignedInt", "positiveInt")
_ABSENT = "fhir.resources reads null and nothing alike; R4 2.6.2: no nulls, empty arrays or empty objects"
_LOOSE = "fhir.resources does not check the whole form of this type; R4 2.24.0.1 gives it"
_INVARIANT = "an invariant in FHIRPath, which neither judges"
_SEVERAL = "fhir.resources judges no rule about several elements; R4 2.4, 2.5 and 2.3 give these (fhir.invariants)"

EXPLAINED = (
    _lenient("decimal as string", "this must be a decimal", _PYDANTIC, "decimal"),
    _lenient("integer as string", "this must be a", _PYDANTIC, *_NUMBER),
    _lenient("integer with a point", "this must be a", "2.0 is equal to, but no form of an integer", *_NUMBER),
    _lenient("number as boolean", "this must be a", _PYDANTIC, *_NUMBER),
    _lenient("boolean as string", "this must be a boolean", _PYDANTIC, "boolean"),
    _lenient("boolean as number", "this must be a boolean", _PYDANTIC, "boolean"),
    _lenient("string as number", "this must be a string", "pydantic takes it for a Unix time", "dateTime", "instant"),
    Explained(
        kinds=("no such code", "another resource", "member of another resource that may be here"),
        side=Side.WE_REFUSE,
        says="this is not a code",
        reason="fhir.resources knows the codes of required value sets and does not check them",
    ),
    _lenient("code with a no-break space", "this is not a code", "no code of a value set has one", "code"),
    _lenient("id too long", "this does not have the form", "fhir.resources allows 255 characters, R4 64", "id"),
    _lenient("uri with whitespace", "this does not have the form", _LOOSE, "uri", "url", "canonical"),
    _lenient("uuid in capitals", "this does not have the form", _LOOSE, "uuid"),
    _lenient("broken base64", "this must be base64", _LOOSE, "base64Binary"),
    _lenient("empty string", "this must be a string", _LOOSE, "uri", "url", "canonical", "markdown"),
    _lenient(
        "control character",
        "this does not have the form",
        "R4 advises against them, R5 forbids them, logs and terminals suffer: we forbid them",
        "string",
        "markdown",
    ),
    _lenient("narrative without div", "this does not have the form", "fhir.resources takes any string", "xhtml"),
    _lenient("empty object", "an object must not be empty", _ABSENT),
    _lenient("empty array", "an array must not be empty", _ABSENT),
    _lenient("array of null", "null is not a value", _ABSENT),
    _lenient("null", "null is not a value", _ABSENT),
    _lenient("anything dropped", "an object must not be empty", _ABSENT),
    _lenient("sibling list too long", "the list beside a list", "fhir.resources does not count them; R4 2.6.2.3"),
    _lenient("sibling of what has none", "the schema's additional", "XHTML has no extensions; R4 2.24.0.1", "xhtml"),
    _lenient("comment of old releases", "FHIR R4 has no such", "left from DSTU2, gone in R4"),
    _lenient("name of the other library", "FHIR R4 has no such", "fhir.resources takes it for resourceType"),
    _lenient("contained without type", "resourceType names no", "fhir.resources makes it a bare Resource"),
    _lenient("resource without type", "resourceType names no", "the model asked supplies the type"),
    _lenient("name given twice", "a name stands twice", "of two equal names others take the last; RFC 8259, 4"),
    _lenient("nesting without end", "more than 64", "our bound on depth (fhir.limits); FHIR sets none"),
    Explained(
        kinds=("sibling", "sibling of an extension's value"),
        side=Side.WE_ACCEPT,
        at="xtension",
        reason="fhir.resources forgot the siblings of an extension's value; R4 2.24.0.1 gives every primitive one",
    ),
    _lenient("string too long", "this does not have the form", "R4 2.24.0.1: 1024*1024 characters", "string"),
    _lenient("contained in contained", "a contained resource contains no others", _SEVERAL),
    _lenient("extension with value and extension", "an extension has either", _SEVERAL),
    _lenient("id", "nothing of that id is contained", f"references to it stayed as they were: {_SEVERAL}"),
    _unjudged("narrative that is no XHTML", "both look at the beginning only; nothing here renders narratives"),
    _unjudged("narrative with a script", f"{_INVARIANT}: txt-1; nothing here renders narratives"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Corpus:
    """Sound examples by type, and members to borrow."""

    by_type: Mapping[str, tuple[bytes, ...]]
    borrowed: tuple[tuple[str, Any], ...]


@cache
def corpus() -> Corpus:
    """The official examples that both can judge, and some of the records of Synthea's first patients."""
    if not SYNTHEA.exists():
        pytest.skip(f"{SYNTHEA} is not here")
    by_type: dict[str, tuple[bytes, ...]] = {}
    borrowed: dict[str, tuple[str, Any]] = {}
    for raw in (*(raw for _name, raw in sorted(examples().items())), *of_synthea()):
        resource = json.loads(raw)
        if resource["resourceType"] in ONLY_R4:
            continue
        by_type[resource["resourceType"]] = (*by_type.get(resource["resourceType"], ()), raw)
        for place in scene_of(resource, []).places:
            for name, value in place.holder.items():
                text = json.dumps([name, value])
                if name != "resourceType" and not name.startswith("_") and len(text) < BORROWED_BYTES_MAX:
                    borrowed[text] = (name, value)
    return Corpus(by_type=by_type, borrowed=tuple(borrowed[text] for text in sorted(borrowed)))


def of_synthea() -> Iterator[bytes]:
    """The first few resources of each type; the archive is read from its beginning and no further."""
    taken: Counter[str] = Counter()
    with tarfile.open(SYNTHEA, "r|xz") as archive:
        files = (archive.extractfile(member) for member in archive if member.name.endswith(".json"))
        for file in islice(filter(None, files), SYNTHEA_PATIENTS):
            for entry in json.loads(file.read())["entry"]:
                kind = entry["resource"]["resourceType"]
                taken[kind] += 1
                if taken[kind] <= SYNTHEA_OF_A_TYPE:
                    yield packed(entry["resource"])


def our_refusal(raw: bytes) -> str | None:
    """Our sentence, or ``None`` where we accept."""
    try:
        validate(raw)
    except MalformedResourceError as error:
        return error.detail
    return None


def they_accept(raw: bytes, resource_type: str) -> bool:
    """What fhir.resources makes of ``raw``, asked for a model by its type's name."""
    try:
        get_fhir_model_class(resource_type).model_validate_json(raw)
    except (ValueError, KeyError, AttributeError, TypeError):  # the last three where it stumbles over what it refuses
        return False
    return True


def mutants(count: int) -> Iterator[Mutant]:
    """The mutants of a run, each kind as often as the others; the same for the same number."""
    known, kinds = corpus(), list(KINDS)
    types = sorted(known.by_type)
    for number in range(count):
        dice, kind = Random(f"{SEED}-{number}"), kinds[number % len(kinds)]
        while True:
            resource_type = dice.choice(types)
            example = json.loads(dice.choice(known.by_type[resource_type]))
            change = KINDS[kind](dice, scene_of(example, known.borrowed))
            if change is not None:
                break
        named = example.get("resourceType")
        if named in ONLY_R4:
            continue
        raw = packed(example) if change.raw is None else change.raw
        refusal = our_refusal(raw)
        theirs = they_accept(raw, named if isinstance(named, str) else resource_type)
        if refusal is None:
            side = Side.BOTH_ACCEPT if theirs else Side.WE_ACCEPT
        else:
            side = Side.WE_REFUSE if theirs else Side.BOTH_REFUSE
        yield Mutant(kind=kind, change=change, side=side, says=refusal or "")


def unused_rows(count: int) -> list[Explained]:
    """Judge ``count`` mutants, fail on what no row explains, and give the rows that explained nothing."""
    used: set[int] = set()
    unexplained: set[str] = set()
    for mutant in mutants(count):
        if not mutant.is_as_promised:
            rows = {number for number, row in enumerate(EXPLAINED) if row.covers(mutant)}
            used |= rows
            if not rows:
                unexplained.add(str(mutant))
    assert not unexplained, "\n".join(["judged otherwise, and no row says why:", *sorted(unexplained)])
    return [row for number, row in enumerate(EXPLAINED) if number not in used]


def test_every_example_of_a_type_that_both_know_is_accepted_by_both() -> None:
    for resource_type, raws in corpus().by_type.items():
        for raw in raws:
            assert our_refusal(raw) is None, resource_type
            assert they_accept(raw, resource_type), resource_type


def test_every_disagreement_over_some_mutants_is_explained() -> None:
    unused_rows(MUTANTS_FAST)


@pytest.mark.slow
def test_every_disagreement_over_many_mutants_is_explained_and_no_row_is_stale() -> None:
    assert unused_rows(MUTANTS_SLOW) == []


def test_an_element_named_resource_type_is_no_resource_and_crashes_nothing() -> None:
    instance = {"resourceId": "a", "resourceType": "Horoscope"}
    scenario = {"resourceType": "ExampleScenario", "status": "draft", "instance": [instance]}

    assert our_refusal(packed(scenario)) is None  # the official schema lists no codes for this element


def test_there_are_many_kinds_and_each_promises_one_thing() -> None:
    assert len(KINDS) == len(SOUND) + len(UNSOUND) + len(EITHER)
    assert {kind for row in EXPLAINED for kind in row.kinds} <= KINDS.keys()
    assert len(UNSOUND) >= 25


def test_exactly_the_types_left_out_are_unknown_to_the_other_library_or_changed() -> None:
    def is_known(resource_type: str) -> bool:
        try:
            get_fhir_model_class(resource_type)
        except ValueError:
            return False
        return True

    assert {name for name in resource_types() if not is_known(name)} == ONLY_R4.keys() - {
        "Evidence",
        "EvidenceVariable",
    }
