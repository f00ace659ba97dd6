"""Promise 1: a national ID is nowhere but, sealed, at the node it was handed to."""

import logging
from hashlib import sha256
from pathlib import Path

import pytest
from tests.federation.network import Network
from tests.federation.records import national_id, observation, patient, transaction

from health_exchange.model.errors import ExchangeError

COUNTY = "cn/33/3305/330521"


def contents(folder: Path) -> list[bytes]:
    """Every byte the nodes have written."""
    return [file.read_bytes() for file in folder.iterdir()]


async def test_no_database_holds_a_number_or_its_plain_hash(tmp_path: Path) -> None:
    network = Network(tmp_path)
    numbers = [national_id(number) for number in range(20)]
    for index, number in enumerate(numbers):
        await network.admit(COUNTY, transaction(patient(f"p{index}", identity=number)), f"r{index}")
    await network.settle()
    for node in network.nodes.values():
        node.parts.store.close()

    for content in contents(tmp_path):
        for number in numbers:
            assert number.encode() not in content
            assert sha256(number.encode()).digest() not in content
            assert sha256(f"national-id|{number}".encode()).digest() not in content


@pytest.mark.parametrize("change", ["check", "date", "length"])
async def test_an_id_that_cannot_be_is_refused_and_not_repeated(
    tmp_path: Path, change: str, caplog: pytest.LogCaptureFixture
) -> None:
    number = national_id(3)
    wrong = {
        "check": number[:-1] + ("1" if number[-1] != "1" else "2"),
        "date": number[:10] + "1345" + number[14:],
        "length": number[:-2],
    }[change]
    network = Network(tmp_path)

    with caplog.at_level(logging.DEBUG), pytest.raises(ExchangeError) as caught:
        await network.admit(COUNTY, transaction(patient("p1", identity=wrong), observation("o1", "p1")), "r1")

    assert wrong not in str(caught.value)
    assert wrong not in caught.value.where
    assert wrong not in repr(caught.value.__context__)
    assert wrong not in caplog.text
    assert "identifier[0].value" in caught.value.where
    assert network.kept(COUNTY) == {}
