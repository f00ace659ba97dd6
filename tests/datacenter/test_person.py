import json
from collections.abc import Mapping
from dataclasses import dataclass

from health_exchange.datacenter.person import DATA_ABSENT, Group, person_view

MASKED = {"extension": [{"url": DATA_ABSENT, "valueCode": "masked"}]}


@dataclass(frozen=True, kw_only=True)
class Record:
    type: str
    id: str
    origin: str
    body: bytes | None


def _record(resource: Mapping[str, object], origin: str = "cn/33/3305/330521") -> Record:
    body = json.dumps(resource).encode()
    return Record(type=str(resource["resourceType"]), id=str(resource["id"]), origin=origin, body=body)


def test_records_stand_in_their_group_latest_first_each_with_its_source() -> None:
    old = {"resourceType": "Condition", "id": "a", "onsetDateTime": "2020", "code": {"coding": [{"code": "I10"}]}}
    new = {
        "resourceType": "Condition",
        "id": "b",
        "onsetDateTime": "2024-01",
        "code": {"coding": [{"display": "脑梗死"}]},
    }
    view = person_view([_record(old), _record(new, "cn/51/5100")])
    assert [(item.id, item.title, item.source) for item in view.groups[Group.CONDITIONS]] == [
        ("b", "脑梗死", "cn/51/5100"),
        ("a", "I10", "cn/33/3305/330521"),
    ]
    assert view.sources == ("cn/33/3305/330521", "cn/51/5100")


def test_what_was_masked_is_named_by_its_path_not_by_its_content() -> None:
    resource = {
        "resourceType": "Observation",
        "id": "o",
        "effectivePeriod": {"start": "2024-05-06"},
        "code": {"extension": MASKED["extension"]},
        "_birthDate": MASKED,
        "component": [{"_valueString": MASKED}],
    }
    item = person_view([_record(resource)]).groups[Group.RESULTS][0]
    assert item.masked == ("birthDate", "code", "component.valueString")
    assert item.date == "2024-05-06"


def test_the_view_as_plain_values_names_every_group() -> None:
    written = person_view([]).to_json()
    assert set(written) == {"sources", *(group.value for group in Group)}
