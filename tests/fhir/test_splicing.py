"""Cutting and joining never change a value's bytes."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from health_exchange.fhir.splicing import fields, items, join_array, join_object, kind_of, quote, text
from health_exchange.model.errors import MalformedResourceError

scalars = st.none() | st.booleans() | st.integers() | st.text()
values = st.recursive(scalars, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=20)


@given(st.dictionaries(st.text(), values))
@settings(max_examples=100)
def test_an_object_cut_and_joined_is_the_same_object(members: dict[str, object]) -> None:
    raw = json.dumps(members, separators=(",", ":"), ensure_ascii=False).encode()
    assert json.loads(join_object(fields(raw))) == members


@given(st.lists(values))
@settings(max_examples=100)
def test_an_array_cut_and_joined_keeps_the_bytes_of_its_items(members: list[object]) -> None:
    raw = json.dumps(members, separators=(",", ":"), ensure_ascii=False).encode()
    assert join_array(items(raw)) == raw


@pytest.mark.parametrize("number", ["1.50", "0.0010", "1e-3", "1E+02", "-0.0", "123456789012345678901234567890.10"])
def test_a_number_keeps_its_bytes(number: str) -> None:
    raw = b'{ "value" : ' + number.encode() + b' , "other": "2020-02-03T11:00:00.000+08:00" }'
    assert join_object(fields(raw)) == b'{"value":' + number.encode() + b',"other":"2020-02-03T11:00:00.000+08:00"}'


def test_whitespace_inside_a_value_is_kept() -> None:
    raw = b'{"a": {"b" : [ 1.0 ,2 ]} , "c": "x"}'
    assert bytes(fields(raw)["a"]) == b'{"b" : [ 1.0 ,2 ]}'


@pytest.mark.parametrize("raw", [b"[1]", b"{", b"", b'{"a":}', b"1", b'"secret"'])
def test_what_is_no_object_is_refused_without_quoting_it(raw: bytes) -> None:
    with pytest.raises(MalformedResourceError) as caught:
        fields(raw)
    assert str(caught.value) == "expected a JSON object"
    assert caught.value.__context__ is None


@pytest.mark.parametrize("raw", [b"{}", b"[", b"[1,]", b'"secret"'])
def test_what_is_no_array_is_refused(raw: bytes) -> None:
    with pytest.raises(MalformedResourceError):
        items(raw)


def test_strings_are_read_and_written() -> None:
    assert text(b'"\\u4e2d\\n"') == "中\n"
    assert text(quote('a"b\\中')) == 'a"b\\中'
    with pytest.raises(MalformedResourceError):
        text(b"1")


@pytest.mark.parametrize(("raw", "kind"), [(b' {"a":1}', "{"), (b"[]", "["), (b'"x"', '"'), (b"-1", "-"), (b"", "")])
def test_the_kind_of_a_value_is_its_first_character(raw: bytes, kind: str) -> None:
    assert kind_of(raw) == kind
