"""What a desk prints for a person: the node's own answers, in lines."""

from pathlib import Path

from tests.api.door import COUNTY, Door
from tests.federation.records import NATIONAL_ID, national_id, objection, observation, patient, transaction

from health_exchange.cli.person import render_report, render_view
from health_exchange.model.addresses import NodeAddress

WHO = {"identifier": {"system": NATIONAL_ID, "value": national_id(1)}}


async def test_a_view_and_an_erasure_are_printed_for_people(tmp_path: Path) -> None:
    door = Door(tmp_path)
    records = [patient("p1", identity=national_id(1)), observation("o1", "p1"), objection("n1", "p1")]
    await door.network.admit(COUNTY, transaction(*records), "r1")
    await door.network.settle()
    door.network.faults.down.add(NodeAddress.parse("cn/51"))
    view = render_view((await door.send("POST", "/operator/v1/person/view", WHO, who="desk")).json())
    door.network.faults.down.clear()
    report = render_report(
        (await door.send("POST", "/operator/v1/person/erasure", {**WHO, "case": "case-7"}, who="desk")).json()
    )

    assert view[0].startswith("cn/33/3305/330521 keeps 3 records of this person")
    assert "      1 Observation" in view
    assert "  Consent/n1 version 1, active: Do not share any record." in view
    assert any("facility hospital of 121000001000791901 wrote" in line for line in view)
    assert view[-1] == "Not heard, or not wholly: cn/51: away"
    assert report[0].startswith("Case case-7: 3 resources destroyed at cn/33/3305/330521")
    assert "Not yet: it is still being sealed" in report
    assert not any(national_id(1) in line for line in [*view, *report])
