"""JSON changed as a tree: what bytes turned at random hardly ever come to, because they are no JSON any more.

Takes any bytes and gives some; what is no JSON is left to whoever turns bytes. Deterministic by its dice.
"""

import json
from collections.abc import Iterator, Sequence
from random import Random
from typing import Any

ODD: Sequence[Any] = (
    *(None, True, False, 0, -1, 1, 2**31, 2**63, 2**64, -(2**63), 1e308, -0.0, 1e-320, 0.1, 2.0),
    *("", " ", "a", "\x00", "\u2028", "\ud7ff", "\U0001f600", "a" * 65, "体温", "true", "1", "urn:uuid:1", "#", "#a"),
    *("2024", "2024-02-30", "0001", "9999-12-31T23:59:60Z", "2024-02-29T24:00:00+14:00", "Patient/a", "Patient?a=b"),
    *("http://a", "Patient/a/_history/1", "11010119000307757X", "YQ==", "<div xmlns='http://www.w3.org/1999/xhtml'/>"),
    *([], {}, [None], [[]], {"": 0}, {"resourceType": "Patient"}, {"reference": "Patient/a"}, {"extension": []}),
)
"""Values at the edges of what JSON and FHIR have."""
SELDOM = 0.1
DEEP = 70
"""More levels than any body may have."""


def changed(raw: bytes, dice: Random, bytes_max: int, words: Sequence[str]) -> bytes:
    """Another JSON text, no larger than ``bytes_max``; ``raw`` where it is none.

    Args:
        raw: Any bytes.
        dice: Chooses.
        bytes_max: Most bytes of the result.
        words: Names of members, to rename by.
    """
    try:
        holder = [json.loads(raw)]
        for _time in range(dice.choice((1, 1, 1, 2, 4))):
            _change(holder, dice, words)
        made = json.dumps(holder[0], ensure_ascii=dice.random() < SELDOM).encode("utf-8", "surrogatepass")
    except (ValueError, RecursionError):
        return raw
    return made if len(made) <= bytes_max else raw


def _change(holder: list[Any], dice: Random, words: Sequence[str]) -> None:
    """Change one place below ``holder``."""
    places = list(_places(holder))
    inside, key = dice.choice(places)
    match dice.randrange(8):
        case 0:
            inside[key] = dice.choice(ODD)
        case 1 if inside is not holder:
            del inside[key]
        case 2:
            other, there = dice.choice(places)
            inside[key] = json.loads(json.dumps(other[there]))
        case 3 if isinstance(inside, dict):
            inside[dice.choice(words)] = inside.pop(key)
        case 4 if isinstance(inside, dict):
            inside[f"_{key}"] = dice.choice(ODD)
        case 5:
            inside[key] = [inside[key]] * dice.choice((1, 2, 3))
        case 6:
            value = inside[key]
            for _level in range(dice.choice((1, 2, DEEP))):
                value = dice.choice(({"extension": [value]}, [value]))
            inside[key] = value
        case _ if isinstance(inside[key], dict):
            inside[key][dice.choice(words)] = dice.choice(ODD)
        case _:
            inside[key] = dice.choice(ODD)


def _places(holder: Any) -> Iterator[tuple[Any, Any]]:  # noqa: ANN401  # any JSON
    """Every place of a value, as what holds it and where."""
    keys = list(holder) if isinstance(holder, dict) else range(len(holder))
    for key in keys:
        yield holder, key
        if isinstance(holder[key], dict | list):
            yield from _places(holder[key])
