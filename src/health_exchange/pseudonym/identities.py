"""Who a person is to the exchange: kinds of identity, their systems and their forms, as a table.

A national ID (GB 11643) is 18 characters whose date exists and whose check digit fits; its division code may have been
abolished since it was given out, so it is not checked. Residence permits of Hong Kong, Macao and Taiwan residents
(81, 82, 83) are the same kind. No message of this module ever holds a value.

Source: GB 11643-1999; ISO 7064 MOD 11-2.
"""

import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from itertools import accumulate
from types import MappingProxyType

from health_exchange.model.errors import Category, ExchangeError

NATIONAL_ID_SYSTEMS = frozenset({"urn:oid:2.16.156.10011.1.3", "urn:oid:2.16.840.1.113883.2.23.1.19.1"})
PASSPORT_SYSTEM_PREFIX = "http://hl7.org/fhir/sid/passport-"
BIRTH_CERTIFICATE_SYSTEM = "https://health-exchange.example/birth-certificate"

_NATIONAL_ID = re.compile(r"[0-9]{17}[0-9X]")
_RUN = re.compile(r"(?=([0-9]{17}[0-9X]))")
_SPACING = re.compile(r"[\s\-.,/]+")
_UUID = re.compile(r"(?<![0-9A-Fa-f])[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}(?![0-9A-Fa-f])")
"""One in a hundred thousand would look like a dashed national ID, and ids are made of them."""
_ARC = r"(?:0|[1-9][0-9]*)"
_OID = re.compile(
    rf"(?<![0-9A-Za-z.])(?:1\.2\.[1-9][0-9]{{0,2}}|1\.3\.[1-9][0-9]{{0,3}}|2\.16\.[1-9][0-9]{{0,2}}|2\.25)(?:\.{_ARC})+"
    r"(?![0-9A-Za-z.])"
)
"""Below countries, organisations and UUIDs; read as plain text, too many names of images would hold a national ID."""
_OF_UUID = re.compile(r"2\.25\.[1-9][0-9]{32,38}")
"""A UUID's number has fewer than 33 digits once in three hundred thousand."""
_DOTTED = re.compile(r"(?=((?:[0-9]\.?){17}[0-9]))")
_ID_DIGITS = 18
_SEAMS = frozenset({2, 4, 6, 10, 12, 14, 17})
"""Where a national ID may be taken apart: province, city, county; year, month, day; sequence, check digit."""
_DIVISION, _DATE = 6, 14
"""Digits up to the end of either."""
_PASSPORT = re.compile(r"[A-Z0-9]{5,20}")
_BIRTH_CERTIFICATE = re.compile(r"[A-Z][0-9]{9}")
_COUNTRY = re.compile(r"[A-Z]{3}")
_WEIGHTS = tuple(pow(2, 17 - index, 11) for index in range(17))
_CHECK_DIGITS = "10X98765432"
_BORN_IN = range(1850, 2100)


class IdentityKind(StrEnum):
    """Kinds of exchange-wide identity, the one that decides first."""

    NATIONAL_ID = "national-id"
    PASSPORT = "passport"
    BIRTH_CERTIFICATE = "birth-certificate"


class InvalidIdentityError(ExchangeError):
    """An identifier of an exchange-wide system that cannot be right."""

    category = Category.INCORRECT
    code = "invalid-identity"


@dataclass(frozen=True, slots=True, repr=False)
class Identity:
    """A checked, normalised identity. It does not show itself.

    Attributes:
        kind: Its row in the table.
        value: Normalised; for a passport with the issuing country before it.
    """

    kind: IdentityKind
    value: str

    @property
    def oprf_input(self) -> bytes:
        """What the pseudonym is made of: ``kind|value``."""
        return f"{self.kind}|{self.value}".encode()

    def __repr__(self) -> str:
        return f"Identity({self.kind}, hidden)"


def read_identity(system: str, value: str) -> Identity | None:
    """The identity that an identifier carries; ``None`` for a system that is not exchange-wide.

    Raises:
        InvalidIdentityError: The value cannot be of that system; says why, never the value.
    """
    normal = unicodedata.normalize("NFKC", value).strip().upper()
    if system in NATIONAL_ID_SYSTEMS:
        return Identity(IdentityKind.NATIONAL_ID, _checked(normal, IdentityKind.NATIONAL_ID))
    if system.startswith(PASSPORT_SYSTEM_PREFIX):
        country = system.removeprefix(PASSPORT_SYSTEM_PREFIX).upper()
        if not _COUNTRY.fullmatch(country):
            raise InvalidIdentityError("a passport's system ends in the issuing country's three letters")
        return Identity(IdentityKind.PASSPORT, f"{country}|{_checked(normal, IdentityKind.PASSPORT)}")
    if system == BIRTH_CERTIFICATE_SYSTEM:
        return Identity(IdentityKind.BIRTH_CERTIFICATE, _checked(normal, IdentityKind.BIRTH_CERTIFICATE))
    return None


def find_identities(identifiers: Iterable[object], *, where: str = "Patient") -> tuple[Identity, ...]:
    """All exchange-wide identities among a resource's identifiers, the deciding one first.

    Args:
        identifiers: Decoded ``Identifier`` elements; what is no exchange-wide identity is passed over.
        where: The resource's place, for messages.

    Raises:
        InvalidIdentityError: One cannot be right, or two of one kind differ.
    """
    found: dict[IdentityKind, Identity] = {}
    for index, identifier in enumerate(identifiers):
        if not isinstance(identifier, Mapping):
            continue
        system, value = identifier.get("system"), identifier.get("value")
        if not isinstance(system, str) or not isinstance(value, str) or identifier.get("use") == "old":
            continue
        place = f"{where}.identifier[{index}].value"
        try:
            identity = read_identity(system, value)
        except InvalidIdentityError as error:
            error.where = place
            raise
        if identity is None:
            continue
        if found.setdefault(identity.kind, identity) != identity:
            raise InvalidIdentityError(f"two identities of kind {identity.kind} differ", where=place)
    order = list(IdentityKind)
    return tuple(sorted(found.values(), key=lambda identity: order.index(identity.kind)))


def looks_like_national_id(text: str) -> bool:
    """Whether ``text`` is, as a whole, a national ID with a fitting check digit and date."""
    return not _fault_of_national_id(unicodedata.normalize("NFKC", text).strip().upper())


def holds_national_id(text: str) -> bool:
    """Whether a national ID with a fitting check digit and date stands anywhere in ``text``, also spaced or dashed.

    None is looked for inside UUIDs, nor across the dots of an OID with more digits than an ID has, but where the dots
    stand between the parts of one.
    """
    plain = _UUID.sub("|", unicodedata.normalize("NFKC", text))
    if any(_holds_in_parts(oid[0]) for oid in _OID.finditer(plain)):
        return True
    characters = _SPACING.sub("", _OID.sub(_apart, plain)).upper()
    return any(not _fault_of_national_id(match.group(1)) for match in _RUN.finditer(characters))


def _holds_in_parts(oid: str) -> bool:
    """Whether a national ID stands in an OID: in one arc, or in several of which each is a part of it."""
    for match in _DOTTED.finditer(_OF_UUID.sub("|", oid)):
        parts = match[1].split(".")
        dots = set(accumulate(map(len, parts[:-1])))
        if (dots <= _SEAMS or {_DIVISION, _DATE} <= dots) and not _fault_of_national_id("".join(parts)):
            return True
    return False


def _apart(oid: re.Match[str]) -> str:
    """An OID of which only the ends may belong to what is around it, unless it has no more digits than an ID."""
    has_more = len(oid[0].replace(".", "")) > _ID_DIGITS
    return _OF_UUID.sub("|", oid[0]).replace(".", "|") if has_more else oid[0]


def check_digit(first_seventeen: str) -> str:
    """The eighteenth character of a national ID (ISO 7064 MOD 11-2)."""
    total = sum(weight * int(digit) for weight, digit in zip(_WEIGHTS, first_seventeen, strict=True))
    return _CHECK_DIGITS[total % 11]


def _fault_of_national_id(value: str) -> str:
    """What is wrong with a normalised national ID; empty if nothing."""
    if not _NATIONAL_ID.fullmatch(value) or not value.isascii():
        return "a national ID has 17 digits and a check character"
    try:
        born = date(int(value[6:10]), int(value[10:12]), int(value[12:14]))
    except ValueError:
        return "the date of birth inside the national ID does not exist"
    if born.year not in _BORN_IN:
        return "the date of birth inside the national ID does not exist"
    if check_digit(value[:17]) != value[17]:
        return "the national ID's check character does not fit"
    return ""


def _fault_of_passport(value: str) -> str:
    """What is wrong with a normalised passport number; empty if nothing."""
    return "" if _PASSPORT.fullmatch(value) else "a passport number has 5 to 20 letters and digits"


def _fault_of_birth_certificate(value: str) -> str:
    """What is wrong with a normalised birth certificate number; empty if nothing."""
    return "" if _BIRTH_CERTIFICATE.fullmatch(value) else "a birth certificate number is a letter and nine digits"


FAULTS: Mapping[IdentityKind, Callable[[str], str]] = MappingProxyType(
    {
        IdentityKind.NATIONAL_ID: _fault_of_national_id,
        IdentityKind.PASSPORT: _fault_of_passport,
        IdentityKind.BIRTH_CERTIFICATE: _fault_of_birth_certificate,
    }
)
"""How each kind's values are checked."""


def _checked(value: str, kind: IdentityKind) -> str:
    """``value``, if it can be of ``kind``."""
    fault = FAULTS[kind](value)
    if fault:
        raise InvalidIdentityError(fault)
    return value
