"""What is not JSON that everyone reads alike never gets further than the first look."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from health_exchange.fhir.jsonguard import check_depth, check_json, decode_json
from health_exchange.model.errors import MalformedResourceError

SECRET = "张三"


def nested(depth: int) -> bytes:
    return b'{"a":' * (depth - 1) + b"[]" + b"}" * (depth - 1)


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"{",
        b'{"a":1',
        b'{"a":1}}',
        b"{'a':1}",
        b'{"a":"\xff\xfe"}',
        b'{"a":"\xed\xa0\x80"}',
        b'{"a":NaN}',
        b'{"a":01}',
        b'{"a":"\t"}',
        b"\xef\xbb\xbf{}",
        '{"a":"张三}'.encode(),
        '{"a":"张三"}'.encode("gb18030"),
        b'{"a":1e999}',
        b'{"a":"\\ud800"}',
        b"[" * 100_000,
    ],
)
def test_what_is_no_json_is_refused_without_a_place_and_without_a_quotation(raw: bytes) -> None:
    with pytest.raises(MalformedResourceError) as refusal:
        check_json(raw)
    assert refusal.value.where == ""
    assert SECRET not in refusal.value.detail
    assert refusal.value.__context__ is None


def test_nesting_is_bounded_exactly() -> None:
    check_json(nested(64))
    with pytest.raises(MalformedResourceError):
        check_json(nested(65))


def test_brackets_inside_strings_do_not_count_as_nesting() -> None:
    check_json(json.dumps({"a": ["[{" * 100, '\\"[', "]]}}"]}).encode())
    with pytest.raises(MalformedResourceError):
        check_depth(b'{"a":"}]","b":' * 70 + b"1" + b"}" * 70, 64)


@pytest.mark.parametrize(
    ("raw", "where"),
    [
        (b'{"resourceType":"Observation","status":"final","status":"final"}', "Observation.status"),
        (
            b'{"resourceType":"Observation","code":{"coding":[{},{"code":"a","code":"b"}]}}',
            "Observation.code.coding[1].code",
        ),
        (b'{"resourceType":"Bundle","entry":[{"resource":{"id":"1","id":"2"}}]}', "Bundle.entry[0].resource.id"),
        (b'{"a":"\\u003a:","b":1,"b":2}', "b"),
        (b'{"a":"x\\u003Ay\\u003ay","b":1,"\\u0062":2}', "b"),
        ('{"resourceType":"Patient","张三":1,"张三":2}'.encode(), "Patient.?"),
        (b'{"resourceType":"Patient","110101199003070000":1,"110101199003070000":2}', "Patient.?"),
        (b'{"a":":","a":"::"}', "a"),
    ],
)
def test_a_name_that_stands_twice_is_refused_with_its_place(raw: bytes, where: str) -> None:
    with pytest.raises(MalformedResourceError) as refusal:
        check_json(raw)
    assert refusal.value.where == where


@pytest.mark.parametrize("number", ["1" * 30, "1" * 5000, "-0.0", "1.50", "0." + "1" * 5000])
def test_long_numbers_do_no_harm(number: str) -> None:
    for text in (f'{{"a":{number}}}', f'{{"\\u003a":{number}}}'):
        try:
            check_json(text.encode())
        except MalformedResourceError as refusal:
            assert refusal.where == ""  # noqa: PT017  # both ends are fine, another error is not
    with pytest.raises(MalformedResourceError):
        check_json(f'{{"\\u003a":{number},"b":1,"b":2}}'.encode())


names = st.text(st.sampled_from('ab:"\\\u003aé'), max_size=4)
values = st.recursive(
    st.none() | st.integers() | st.text(st.sampled_from('ab:"\\{}[]é')),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(names, inner, max_size=4),
    max_leaves=20,
)


@given(values, st.booleans())
@settings(max_examples=100)
def test_every_value_without_repeated_names_is_accepted_as_it_is(value: object, ascii_only: bool) -> None:  # noqa: FBT001  # a drawn value
    raw = json.dumps(value, ensure_ascii=ascii_only).encode()
    assert decode_json(raw) == value


@given(st.dictionaries(names, values, min_size=1, max_size=4), st.data())
@settings(max_examples=100)
def test_every_repeated_name_is_found(members: dict[str, object], choice: st.DataObject) -> None:
    again = choice.draw(st.sampled_from(sorted(members)))
    text = json.dumps(members)[:-1] + "," + json.dumps({again: choice.draw(values)})[1:]
    with pytest.raises(MalformedResourceError):
        check_json(text.encode())
