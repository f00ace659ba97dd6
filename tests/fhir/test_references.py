"""References are found wherever they stand, and rewriting them changes no other byte."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.examples import examples

from health_exchange.fhir.references import _rewritten, reference_texts, references, rewrite_references, set_identity

NEW = {"urn:uuid:1": "Patient/9", "Patient?identifier=a|b": "Patient/8"}


@pytest.mark.parametrize(
    ("resource", "expected"),
    [
        ({"subject": {"reference": "Patient/1", "display": "x"}}, [("subject.reference", "Patient/1")]),
        (
            {"performer": [{"actor": {"reference": "#a"}}, {"actor": {"reference": "b", "type": "Patient"}}]},
            [("performer[0].actor.reference", "#a"), ("performer[1].actor.reference", "b")],
        ),
        ({"condition": [{"expression": {"language": "text/cql", "reference": "urn:uuid:1"}}]}, []),
        ({"education": [{"reference": "http://a"}]}, []),
        ({"resourceType": "DetectedIssue", "reference": "http://a"}, []),
        ({"related": [{"reference": {"system": "a", "value": "b"}}]}, []),
    ],
)
def test_references_are_found_with_their_paths(resource: object, expected: list[tuple[str, str]]) -> None:
    assert references(resource) == expected


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b'{"s" : { "reference" :  "urn:uuid:1" , "a":1.50}}', b'{"s" : { "reference" :  "Patient/9" , "a":1.50}}'),
        (b'{"s":{"reference":"Patient?identifier=a|b"}}', b'{"s":{"reference":"Patient/8"}}'),
        (b'{"s":{"reference":"urn:uuid\\u003a1"}}', b'{"s":{"reference":"Patient/9"}}'),
        (b'{"s":{"\\u0072eference":"urn:uuid:1"}}', b'{"s":{"reference":"Patient/9"}}'),
        (b'{"s":{"reference":"urn:uuid:2"}}', b'{"s":{"reference":"urn:uuid:2"}}'),
        (b'{"valueUri":"urn:uuid:1","value":"urn:uuid:1"}', b'{"valueUri":"Patient/9","value":"urn:uuid:1"}'),
        (
            b'{"identifier":[{"system":"urn:oid:1.2","value":"v"}],"s":{"reference":"urn:uuid:1"}}',
            b'{"identifier":[{"system":"urn:oid:1.2","value":"v"}],"s":{"reference":"Patient/9"}}',
        ),
        (
            b'{"identifier":[{"system":"urn:oid:1.2"}],"valueUri":"urn:uuid:1","s":{"reference":"urn:uuid:1"}}',
            b'{"identifier":[{"system":"urn:oid:1.2"}],"valueUri":"Patient/9","s":{"reference":"Patient/9"}}',
        ),
        (b'{"policy":[\n "urn:uuid:1"]}', b'{"policy":["Patient/9"]}'),
        (b'{"s":{"reference":{"system":"a"}},"t":{"reference":"urn:uuid:1"}}',
         b'{"s":{"reference":{"system":"a"}},"t":{"reference":"Patient/9"}}'),
        (b'{"instantiatesUri":[ "urn:uuid:1"]}', b'{"instantiatesUri":["Patient/9"]}'),
        (b'{"identifier":[{"system":"urn:ietf:rfc:3986","value":"urn:uuid:1"}]}',) * 2,
        (b'{"text":"\\"reference\\":\\"urn:uuid:1\\""}',) * 2,
        (b'{"e":{"language":"x","expression":"y","reference":"urn:uuid:1"}}',) * 2,
        (b'{"criteria":{"language":"x","reference":"urn:uuid:1"}}',) * 2,
        (b'{"valueExpression":{"_language":{"id":"a"},"reference":"urn:uuid:1"}}',) * 2,
        (b'{"education":[ {"reference":"urn:uuid:1"} ]}',) * 2,
        (
            b'{"language":"y", "s" : [ {"reference":"urn:uuid:1"} ], "v":1.50}',
            b'{"language":"y","s":[{"reference":"Patient/9"}],"v":1.50}',
        ),
    ],
)  # fmt: skip
def test_only_references_and_urns_in_uris_are_rewritten(raw: bytes, expected: bytes) -> None:
    assert rewrite_references(raw, NEW.get) == expected


strings = st.text(st.sampled_from('ar"\\/:é\n{}'), max_size=6)
expressions = st.builds(
    lambda text, name: {name: "x", "reference": text},
    st.sampled_from([*NEW]),
    st.sampled_from(["language", "_language"]),
)
trees = st.recursive(
    strings | expressions | st.builds(lambda text: {"reference": text}, st.sampled_from([*NEW, "Patient/1", 'a"\\b'])),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            strings | st.sampled_from(["subject", "expression", "condition", "criteria"]), inner, max_size=3
        )
    ),
    max_leaves=12,
)


def expected_tree(value: object) -> object:
    if isinstance(value, dict) and not value.keys() & {"language", "_language"}:
        return {
            name: NEW.get(inner, inner) if name == "reference" and isinstance(inner, str) else expected_tree(inner)
            for name, inner in value.items()
        }
    return [expected_tree(inner) for inner in value] if isinstance(value, list) else value


@given(trees, st.booleans())
@settings(max_examples=100)
def test_rewriting_any_tree_is_rewriting_its_references(tree: object, ascii_only: bool) -> None:  # noqa: FBT001  # a drawn value
    raw = json.dumps(tree, ensure_ascii=ascii_only).encode()
    assert json.loads(rewrite_references(raw, NEW.get)) == expected_tree(tree)
    assert rewrite_references(raw, lambda _text: None) == raw
    assert reference_texts(raw) == list(dict.fromkeys(text for _path, text in references(tree)))


def test_the_bytes_of_every_official_example_tell_the_references_that_its_structure_has() -> None:
    def mapped(text: str) -> str:
        return f"urn:uuid:{text}"

    for raw in examples().values():
        resource = json.loads(raw)
        assert reference_texts(raw) == list(dict.fromkeys(text for _path, text in references(resource)))
        changed = rewrite_references(raw, mapped)
        assert json.loads(changed) == json.loads(_rewritten(raw, mapped))
        assert references(json.loads(changed)) == [(path, mapped(text)) for path, text in references(resource)]


def test_an_identity_is_set_and_every_other_value_keeps_its_bytes() -> None:
    raw = (
        b'{"id":"old","resourceType":"Observation","meta":{"versionId":"7","source":"urn:a","security":[ {"code":"R"}],'
        b'"lastUpdated":"x"},"valueQuantity":{"value": 1.50}}'
    )
    assert set_identity(raw, id="new", version=2, last_updated="2025-01-01T00:00:00Z") == (
        b'{"id":"new","resourceType":"Observation","meta":{"versionId":"2","source":"urn:a","security":[ {"code":"R"}],'
        b'"lastUpdated":"2025-01-01T00:00:00Z"},"valueQuantity":{"value": 1.50}}'
    )


@pytest.mark.parametrize(
    ("raw", "done"),
    [
        (
            b'{"resourceType":"A","b":1}',
            b'{"resourceType":"A","id":"1","meta":{"versionId":"1","lastUpdated":"t"},"b":1}',
        ),
        (
            b'{"b":1,"resourceType":"A"}',
            b'{"id":"1","meta":{"versionId":"1","lastUpdated":"t"},"b":1,"resourceType":"A"}',
        ),
        (b'{"b":1,"meta":{},"id":"0"}', b'{"b":1,"meta":{"versionId":"1","lastUpdated":"t"},"id":"1"}'),
    ],
)
def test_members_keep_their_order_around_the_identity(raw: bytes, done: bytes) -> None:
    assert set_identity(raw, id="1", version=1, last_updated="t") == done


def test_a_source_is_set_where_one_is_given() -> None:
    raw = b'{"resourceType":"Patient","meta":{"source":"urn:a","_source":{"id":"x"}}}'
    done = json.loads(set_identity(raw, id="1", version=1, last_updated="t", source="cn/33"))
    assert done == {
        "resourceType": "Patient",
        "id": "1",
        "meta": {"source": "cn/33", "versionId": "1", "lastUpdated": "t"},
    }
