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
from types import MappingProxyType

from health_exchange.model.errors import Category, ExchangeError

NATIONAL_ID_SYSTEMS = frozenset({"urn:oid:2.16.156.10011.1.3", "urn:oid:2.16.840.1.113883.2.23.1.19.1"})
PASSPORT_SYSTEM_PREFIX = "http://hl7.org/fhir/sid/passport-"
BIRTH_CERTIFICATE_SYSTEM = "https://health-exchange.example/birth-certificate"

_NATIONAL_ID = re.compile(r"[0-9]{17}[0-9X]")
_BORN = ("(?:1_[89]|2_0)_[0-9]_[0-9]", "(?:0_[1-9]|1_[0-2])", "(?:0_[1-9]|[12]_[0-9]|3_[01])")
"""Year, month and day, with ``_`` between two digits: looked for at once, because few digits are a date."""
_YEAR, _MONTH, _DAY = (each.replace("_", "") for each in _BORN)
_RUN = re.compile(rf"(?=([0-9]{{6}}{_YEAR}{_MONTH}{_DAY}[0-9]{{3}}[0-9X]))")
_SPACING = re.compile(r"[\s\-./]+")
"""No comma: it stands between values, and one in eleven lists of three dates would hold a national ID."""
_UUID = re.compile(r"(?<![0-9A-Fa-f])[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}(?![0-9A-Fa-f])")
"""One in a hundred thousand would look like a dashed national ID, and ids are made of them."""
_LONG_OID = re.compile(
    r"(?<![0-9A-Za-z.])(?=[12]\.(?:[0-9]\.?){18})"
    r"(?:1\.2\.[1-9][0-9]{0,2}|1\.3\.[1-9][0-9]{0,3}|2\.16\.[1-9][0-9]{0,2}|2\.25)(?:\.[0-9]++)++(?![0-9A-Za-z.])"
)
"""With more digits than a national ID has, below countries, organisations and UUIDs; many have arcs that begin with 0.
Read as plain text, too many names of images would hold a national ID."""
_OF_UUID = re.compile(r"^2\.25\.[1-9][0-9]{32,38}(?![0-9])")
"""A UUID's number has fewer than 33 digits once in three million."""
_SEAMS = f"[0-9]{{2}}_[0-9]{{2}}_[0-9]{{2}}_{_YEAR}_{_MONTH}_{_DAY}_[0-9]{{3}}_[0-9]"
_DIGITS = rf"[0-9]_[0-9]_[0-9]_[0-9]_[0-9]_[0-9]\.{'_'.join(_BORN)}\.[0-9]_[0-9]_[0-9]_[0-9]"
_IN_ARCS = re.compile(rf"(?<![0-9])(?=({_SEAMS}|{_DIGITS})(?![0-9]))".replace("_", r"\.?+"))
"""A national ID made of whole arcs: dots stand only between province, city, county, year, month, day, sequence and
check digit; or between division, date and the rest, and anywhere else."""
_PASSPORT = re.compile(r"[A-Z0-9]{5,20}")
_BIRTH_CERTIFICATE = re.compile(r"[A-Z][0-9]{9}")
_COUNTRY = re.compile(r"[A-Z]{3}")
_WEIGHING = 13
"""Read in this base, every digit weighs twice as much, modulo 11, as the one behind it."""
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

    None is looked for inside UUIDs, nor across the dots of an OID with more digits than an ID has, but where whole arcs
    are the parts of one.
    """
    plain = _UUID.sub("|", unicodedata.normalize("NFKC", text))
    in_arcs = _IN_ARCS.findall("|".join(_LONG_OID.findall(plain)))
    characters = _SPACING.sub("", _LONG_OID.sub(_apart, plain)).upper()
    return any(_fits(each.replace(".", "")) for each in in_arcs) or any(map(_fits, _RUN.findall(characters)))


def _apart(oid: re.Match[str]) -> str:
    """An OID of which only the ends may belong to what is around it."""
    return _OF_UUID.sub("|", oid[0]).replace(".", "|")


def _fits(value: str) -> bool:
    """Whether 17 digits and a character are a national ID; the check character first, which is read fastest."""
    return check_digit(value[:17]) == value[17] and not _fault_of_national_id(value)


def check_digit(first_seventeen: str) -> str:
    """The eighteenth character of a national ID (ISO 7064 MOD 11-2)."""
    return _CHECK_DIGITS[2 * int(first_seventeen, _WEIGHING) % 11]


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
