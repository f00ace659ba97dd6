"""Identities: GB 11643 to the digit, other kinds by their rows, and nothing that shows a number."""

import random
from collections.abc import Callable, Sequence
from itertools import pairwise
from time import process_time
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from health_exchange.pseudonym.identities import (
    FAULTS,
    NATIONAL_ID_SYSTEMS,
    Identity,
    IdentityKind,
    InvalidIdentityError,
    check_digit,
    find_identities,
    holds_national_id,
    looks_like_national_id,
    read_identity,
)

OURS, HL7_CHINA = sorted(NATIONAL_ID_SYSTEMS)
STANDARD_EXAMPLE = "11010519491231002X"
"""The example that GB 11643-1999 itself prints."""


def test_the_standards_own_example_has_its_check_digit() -> None:
    assert check_digit(STANDARD_EXAMPLE[:17]) == "X"


def test_every_kind_has_its_row() -> None:
    assert set(FAULTS) == set(IdentityKind)


def test_both_systems_mean_the_same_person() -> None:
    assert read_identity(OURS, STANDARD_EXAMPLE) == read_identity(HL7_CHINA, STANDARD_EXAMPLE)


@pytest.mark.parametrize(
    "written", ["11010519491231002x", " 11010519491231002X ", "１１０１０５１９４９１２３１００２Ｘ"]
)
def test_ways_of_writing_are_one_identity(written: str) -> None:
    assert read_identity(OURS, written) == read_identity(OURS, STANDARD_EXAMPLE)


@pytest.mark.parametrize("division", ["810000", "820000", "830000"])
def test_residence_permits_are_national_ids(division: str) -> None:
    first = f"{division}19900101001"
    identity = read_identity(OURS, first + check_digit(first))

    assert identity is not None
    assert identity.kind is IdentityKind.NATIONAL_ID


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ("110105194912310021", "check character"),
        ("110105194913310020", "date of birth"),
        ("11010519491231002", "17 digits"),
        ("110105194912310O2X", "17 digits"),
        ("", "17 digits"),
    ],
)
def test_what_cannot_be_is_refused_without_being_quoted(value: str, problem: str) -> None:
    with pytest.raises(InvalidIdentityError, match=problem) as caught:
        read_identity(OURS, value)

    assert not value or value not in caught.value.detail


@given(digits=st.text("0123456789", min_size=17, max_size=17), wrong=st.sampled_from("0123456789X"))
def test_one_check_character_fits_every_number(digits: str, wrong: str) -> None:
    right = check_digit(digits)

    assert not looks_like_national_id(digits + wrong) or wrong == right


@given(position=st.integers(0, 16), digit=st.sampled_from("0123456789"))
def test_any_single_wrong_digit_is_noticed(position: int, digit: str) -> None:
    changed = STANDARD_EXAMPLE[:position] + digit + STANDARD_EXAMPLE[position + 1 :]

    assert not looks_like_national_id(changed) or changed == STANDARD_EXAMPLE


def test_passports_carry_their_country() -> None:
    british = read_identity("http://hl7.org/fhir/sid/passport-GBR", "000687382")
    french = read_identity("http://hl7.org/fhir/sid/passport-FRA", "000687382")

    assert british is not None
    assert french is not None
    assert british.oprf_input != french.oprf_input


def test_a_facilitys_own_number_is_no_exchange_wide_identity() -> None:
    assert read_identity("https://dq-county.hospital.example/mrn", "4711") is None


def test_the_national_id_decides_before_the_passport() -> None:
    found = find_identities(
        [
            {"system": "http://hl7.org/fhir/sid/passport-GBR", "value": "000687382"},
            {"system": "https://x.example", "value": "1"},
            {"system": OURS, "value": STANDARD_EXAMPLE},
        ]
    )

    assert [identity.kind for identity in found] == [IdentityKind.NATIONAL_ID, IdentityKind.PASSPORT]


def test_two_different_national_ids_of_one_patient_are_refused_with_their_place() -> None:
    first = "11010519491231002"
    other = "19000119900101001"
    identifiers = [
        {"system": OURS, "value": first + check_digit(first)},
        {"system": HL7_CHINA, "value": other + check_digit(other)},
    ]

    with pytest.raises(InvalidIdentityError) as caught:
        find_identities(identifiers)

    assert caught.value.where == "Patient.identifier[1].value"


def test_an_identity_does_not_show_itself() -> None:
    identity = Identity(IdentityKind.NATIONAL_ID, STANDARD_EXAMPLE)

    assert STANDARD_EXAMPLE not in repr(identity)
    assert STANDARD_EXAMPLE not in f"{identity}"


ALL_DIGITS = "110105194912310003"


@pytest.mark.parametrize("text", ["{}", "a{}b", "0{}1", "1.2.3 {}", "no. {}."])
@pytest.mark.parametrize("apart", ["", " ", "-", ".", "/"])
def test_an_identity_is_seen_in_a_text_however_it_is_spaced(text: str, apart: str) -> None:
    for identity in (STANDARD_EXAMPLE, ALL_DIGITS):
        assert holds_national_id(text.format(apart.join((identity[:6], identity[6:14], identity[14:]))))
        assert holds_national_id(text.format(apart.join(identity)))


UNASSIGNED = "110199"
"""A division code that was never given out, so that none of these is anybody's."""


def made_up(*, sequence: str = "851") -> str:
    """An identity that nobody has."""
    first = f"{UNASSIGNED}19900307{sequence}"
    return first + check_digit(first)


@pytest.mark.parametrize(
    "oid",
    [
        "1.2.156.112649.5.{}",
        "urn:oid:2.16.840.1.113883.4.{}",
        "1.2.3.4.5.{}.7",
        "1.2.840.113619.2.55.{}001",
        "1.2.840.113619.2.55.1{}",
        "1.2.840.113619.2.55.0{}",
        "1.3.12.2.1107.5.2.30000{}00032.7",
        "2.25.{}",
        "2.25.{}001",
        "2.25.329800735698586629295641978511506172918.{}",
        "2.25.32980073569858662929564{}",
        "1.2.156.112.25.329800735698586{}",
        "1.2.840.113619.2.20080512.012345.{}",
    ],
)
@pytest.mark.parametrize("sequence", ["851", "852", "860"])
def test_an_identity_is_seen_in_an_oid_where_it_is_in_an_arc(oid: str, sequence: str) -> None:
    identity = made_up(sequence=sequence)

    assert holds_national_id(oid.format(identity))
    assert holds_national_id(oid.format(ALL_DIGITS))


@pytest.mark.parametrize(
    "root", ["1.", "1.2.", "1.2.3.4.", "2.5.4.", "2.25.", "1.2.840.113619.2.55.", "urn:oid:2.16.156.10011.1.3."]
)
@pytest.mark.parametrize("parts", [(6, 14), (6, 10, 12, 14), (2, 4, 6, 14), (6, 14, 17), (6,), (14,), range(1, 18)])
@pytest.mark.parametrize("after", ["", ".1.2", ".001", "."])
def test_an_identity_is_seen_in_an_oid_whose_arcs_are_its_parts(root: str, parts: Sequence[int], after: str) -> None:
    identity = made_up()
    pieces = [identity[start:end] for start, end in pairwise((0, *parts, 18))]

    assert holds_national_id(f"{root}{'.'.join(pieces)}{after}")


@pytest.mark.parametrize("root", ["1.2.156", "1.2", "1"])
def test_an_identity_is_seen_behind_numbers_whatever_its_check_character(root: str) -> None:
    identities = [made_up(sequence=f"{sequence:03}") for sequence in range(850, 880)]

    assert any(identity.endswith("X") for identity in identities)
    assert all(holds_national_id(f"{root}.{each[:6]}.{each[6:14]}.{each[14:]}") for each in identities)


@given(st.lists(st.integers(10**4, 10**5 - 1), min_size=3, max_size=9))
def test_no_identity_is_seen_across_dots_that_part_none(arcs: list[int]) -> None:
    """By turns of five digits and of one: no two dots stand where those of an identity would."""
    assert not holds_national_id(f"2.16.840.{'.7.'.join(map(str, arcs))}")


@given(st.uuids(version=4))
def test_no_identity_is_seen_in_the_number_of_a_uuid(uuid: UUID) -> None:
    assert len(str(uuid.int)) < 33 or not holds_national_id(f"2.25.{uuid.int}")


def test_the_name_of_an_image_is_no_identity() -> None:
    """One of the official examples, in which a number and a date with a fitting check digit stand across dots."""
    assert not holds_national_id("2.16.124.113543.6003.2588828330.45298.17418.2723805630")


def taken(dice: random.Random, apart: str = ".") -> str:
    """When an image was taken: a date and a time of day, which may begin with 0."""
    day = f"20{dice.randint(0, 25):02}{dice.randint(1, 12):02}{dice.randint(1, 28):02}"
    return f"{day}{apart}{dice.randint(0, 23):02}{dice.randint(0, 59):02}{dice.randint(0, 59):02}"


@pytest.mark.parametrize(
    "made",
    [
        lambda dice: (
            f"1.2.276.0.7230010.3.1.4.{dice.getrandbits(32)}.{dice.randint(1, 40_000)}.17{dice.randint(0, 10**8):08}.9"
        ),
        lambda dice: f"1.2.826.0.1.3680043.8.498.{dice.randint(10**37, 10**38)}",
        lambda dice: f"1.3.12.2.1107.5.2.6.24119.30000024{dice.randint(1, 12):02}14{dice.randint(0, 10**16):017}",
        lambda dice: f"1.3.46.670589.11.0.0.11.4.2.0.8743.5.5396.20{dice.randint(0, 10**17):017}",
        lambda dice: f"2.25.{dice.getrandbits(128)}",
        lambda dice: f"1.3.12.2.1107.5.4.3.{dice.randint(10**12, 10**13)}.{taken(dice)}.{dice.randint(1, 99)}",
        lambda dice: (
            f"1.2.840.113564.{dice.randint(1, 10**10)}.{taken(dice, '')}{dice.randint(0, 999):03}.{dice.randint(1, 99)}"
        ),
        lambda dice: f"1.2.840.113619.2.176.{dice.randint(1, 9999)}.{dice.randint(10**5, 10**6)}.{taken(dice)}",
        lambda dice: (
            f"1.2.392.200036.9116.2.5.1.48.{dice.randint(10**9, 10**10)}.{taken(dice)}.0{dice.randint(1, 10**5)}"
        ),
    ],
)
def test_of_a_thousand_names_of_images_hardly_any_is_refused(made: Callable[[random.Random], str]) -> None:
    dice = random.Random(7)

    assert sum(holds_national_id(made(dice)) for _ in range(1_000)) < 10


def test_dates_with_commas_between_them_are_no_identity() -> None:
    """Taken for one number, three of them would have a fitting check character once in eleven."""
    days = [f"20{year:02}-{month:02}-{day:02}" for year in (20, 21) for month in range(1, 13) for day in range(1, 29)]

    assert not holds_national_id(f"{','.join(days)},{','.join(reversed(days))}")
    assert not holds_national_id("2018-01-01,2019-03-01,2020-01-01")
    assert holds_national_id(f"2020-01-01,{made_up()},2022-01-01")


@pytest.mark.parametrize(
    "text",
    [f"{UNASSIGNED}19900307851", "1.2.156.110199.19900307.8518.", "1.2.156.110199.19900307.8518 ", "2.0.1.", "1."],
)
@pytest.mark.parametrize("root", ["", "1.2.156.7."])
def test_no_text_takes_much_longer_to_look_through_than_plain_words(root: str, text: str) -> None:
    """Three times at most when written; where Python looks at every digit, forty to a hundred times."""

    def seconds(looked_through: str) -> float:
        began = process_time()
        holds_national_id(looked_through)
        return process_time() - began

    hostile = root + (text * 30_000)[:29_999].rstrip(".")
    assert min(seconds(hostile) for _ in range(7)) < 12 * min(seconds("x" * len(hostile)) for _ in range(7))
