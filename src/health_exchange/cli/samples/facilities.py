"""The facilities of the samples, from village clinic to 三甲, none of them real.

Unified social credit codes have both check characters (GB 11714 inside, GB 32100 outside) but stand on a division code
that was never assigned.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

CREDIT_CODE_SYSTEM = "urn:oid:2.16.156.10011.1.5"
STAFF_SYSTEM = "urn:oid:2.16.156.10011.1.4"
GRADE_SYSTEM = "https://samples.health-exchange.example/facility-grades"
GRADE_CODES: Mapping[str, str] = MappingProxyType(
    {
        "村卫生室": "village-clinic",
        "乡镇卫生院": "township-center",
        "社区卫生服务中心": "community-center",
        "二级乙等": "2B",
        "二级甲等": "2A",
        "三级乙等": "3B",
        "三级甲等": "3A",
    }
)

_ALPHABET = "0123456789ABCDEFGHJKLMNPQRTUWXY"
_ORGANIZATION_WEIGHTS = (3, 7, 9, 10, 5, 8, 4, 2)


@dataclass(frozen=True, slots=True, kw_only=True)
class Facility:
    """One place that keeps records.

    Attributes:
        client_id: How it names itself to its admitting node; also its id, and the host of its own code systems.
        assigns_ids: Whether it writes patients with PUT under its own ids (else: conditional create by record number).
        refers: Whether it sends itself and its staff once and then refers to them conditionally (else: in every
            Bundle, as conditional creates).
    """

    client_id: str
    name: str
    grade: str
    node: str
    assigns_ids: bool = False
    refers: bool = False
    serial: int

    @property
    def credit_code(self) -> str:
        """Its unified social credit code."""
        return make_credit_code(self.serial)

    @property
    def host(self) -> str:
        """Where its own identifier and code systems live."""
        return f"https://{self.client_id}.hospital.example"

    def row(self) -> dict[str, Any]:
        """What ``facilities.json`` says of it."""
        return {
            "id": self.client_id,
            "name": self.name,
            "grade": self.grade,
            "node": self.node,
            "credit_code": self.credit_code,
            "client_id": self.client_id,
        }


def organization_check(first_8: str) -> str:
    """The ninth character of an organization code. Source: GB 11714."""
    rest = 11 - sum(int(digit) * weight for digit, weight in zip(first_8, _ORGANIZATION_WEIGHTS, strict=True)) % 11
    return {10: "X", 11: "0"}.get(rest, str(rest))


def credit_check(first_17: str) -> str:
    """The last character of a unified social credit code. Source: GB 32100."""
    total = sum(_ALPHABET.index(char) * pow(3, place, 31) for place, char in enumerate(first_17))
    return _ALPHABET[-total % 31]


def make_credit_code(serial: int) -> str:
    """A code for a public institution (``12``) on division 100000, which was never assigned."""
    organization = f"{10000000 + serial * 7919}"
    first_17 = f"12100000{organization}{organization_check(organization)}"
    return first_17 + credit_check(first_17)


_DEQING, _JINTANG, _PUDONG, _SICHUAN = "cn/33/3305/330521", "cn/51/5101/510121", "cn/31/310115", "cn/51/5100"

_ROWS: tuple[tuple[str, str, str, str, bool, bool], ...] = (
    # client id, name, grade, node, assigns ids, refers
    ("dq-clinic", "德清县样例镇竹坞村卫生室", "村卫生室", _DEQING, False, False),
    ("dq-township", "德清县样例镇卫生院", "乡镇卫生院", _DEQING, False, True),
    ("dq-county", "德清县样例人民医院", "二级甲等", _DEQING, True, False),
    ("dq-tcm", "德清县样例中医院", "二级乙等", _DEQING, False, True),
    ("jt-clinic", "金堂县样例镇梨花村卫生室", "村卫生室", _JINTANG, False, False),
    ("jt-township", "金堂县样例镇中心卫生院", "乡镇卫生院", _JINTANG, False, True),
    ("jt-county", "金堂县样例第一人民医院", "二级甲等", _JINTANG, True, False),
    ("pd-community", "浦东新区样例社区卫生服务中心", "社区卫生服务中心", _PUDONG, False, True),
    ("pd-district", "浦东新区样例医院", "三级乙等", _PUDONG, True, False),
    ("pd-top", "上海样例大学附属医院", "三级甲等", _PUDONG, True, True),
    ("sc-general", "四川样例省级医院", "三级甲等", _SICHUAN, True, True),
    ("sc-maternal", "四川样例妇女儿童医院", "三级甲等", _SICHUAN, True, False),
)

FACILITIES: Mapping[str, Facility] = MappingProxyType(
    {
        client_id: Facility(
            client_id=client_id, name=name, grade=grade, node=node, assigns_ids=assigns, refers=refers, serial=serial
        )
        for serial, (client_id, name, grade, node, assigns, refers) in enumerate(_ROWS, start=1)
    }
)

REGIONS: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        "deqing": {"clinic": "dq-clinic", "township": "dq-township", "county": "dq-county", "top": "pd-top"},
        "jintang": {"clinic": "jt-clinic", "township": "jt-township", "county": "jt-county", "top": "sc-general"},
        "pudong": {"clinic": "pd-community", "township": "pd-community", "county": "pd-district", "top": "pd-top"},
    }
)
"""Where someone from there goes: first contact, township, county, and where the county refers to."""
