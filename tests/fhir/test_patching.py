"""JSON Patch keeps every byte that it does not name, and is atomic, bounded and clear."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from health_exchange.fhir.limits import Limits
from health_exchange.fhir.patching import (
    BadPatchError,
    OversizedPatchError,
    PatchDoesNotApplyError,
    apply_patch,
    read_patch,
)
from health_exchange.model.errors import ExchangeError


def patched(document: bytes, *operations: dict[str, Any]) -> bytes:
    return apply_patch(document, read_patch(json.dumps(operations).encode()))


# The examples of RFC 6902, appendix A, as far as they are about operations that FHIR's resources can have.
@pytest.mark.parametrize(
    ("document", "operation", "result"),
    [
        ({"foo": "bar"}, {"op": "add", "path": "/baz", "value": "qux"}, {"foo": "bar", "baz": "qux"}),
        ({"foo": ["bar", "baz"]}, {"op": "add", "path": "/foo/1", "value": "qux"}, {"foo": ["bar", "qux", "baz"]}),
        ({"baz": "qux", "foo": "bar"}, {"op": "remove", "path": "/baz"}, {"foo": "bar"}),
        ({"foo": ["bar", "qux", "baz"]}, {"op": "remove", "path": "/foo/1"}, {"foo": ["bar", "baz"]}),
        ({"baz": "qux"}, {"op": "replace", "path": "/baz", "value": "boo"}, {"baz": "boo"}),
        (
            {"foo": {"bar": "baz", "waldo": "fred"}, "qux": {"corge": "grault"}},
            {"op": "move", "from": "/foo/waldo", "path": "/qux/thud"},
            {"foo": {"bar": "baz"}, "qux": {"corge": "grault", "thud": "fred"}},
        ),
        (
            {"foo": ["all", "grass", "cows", "eat"]},
            {"op": "move", "from": "/foo/1", "path": "/foo/3"},
            {"foo": ["all", "cows", "eat", "grass"]},
        ),
        ({"foo": "bar"}, {"op": "add", "path": "/child", "value": {"g": {}}}, {"foo": "bar", "child": {"g": {}}}),
        ({"foo": "bar"}, {"op": "add", "path": "/baz", "value": "qux", "xyz": 123}, {"foo": "bar", "baz": "qux"}),
        ({"foo": ["bar"]}, {"op": "add", "path": "/foo/-", "value": ["abc"]}, {"foo": ["bar", ["abc"]]}),
        ({"a": [1], "b": 2}, {"op": "copy", "from": "/a", "path": "/b"}, {"a": [1], "b": [1]}),
        ({"/": 9, "~1": 10}, {"op": "test", "path": "/~01", "value": 10}, {"/": 9, "~1": 10}),
        ({"": 1}, {"op": "replace", "path": "/", "value": 2}, {"": 2}),
        ({"a": 1}, {"op": "add", "path": "", "value": {"b": 2}}, {"b": 2}),
    ],
)
def test_the_rfcs_examples_come_out(document: object, operation: dict[str, Any], result: object) -> None:
    out = patched(json.dumps(document).encode(), operation)
    assert json.loads(out) == result
    assert list(json.loads(out)) == list(result)  # type: ignore[call-overload]  # an object


@pytest.mark.parametrize(
    ("kept", "asked", "equal"),
    [
        ("1.50", "1.5", True),
        ("1e2", "100", True),
        ("10000000000000000001", "10000000000000000000", False),
        ("0.1", "0.10000000000000001", False),
        ("true", "1", False),
        ("null", "false", False),
        ('"10"', "10", False),
        ('{"a":1,"b":[2]}', '{"b":[2.0],"a":1}', True),
        ('"\\u00e9"', '"é"', True),
        ("[1,2]", "[2,1]", False),
        ("1e-400", "2e-400", False),
        ("1e-99999999999999999999", "1e-99999999999999999999", True),
        ("1e-99999999999999999999", "0", False),
    ],
)
def test_a_test_compares_values_and_not_texts(kept: str, asked: str, equal: bool) -> None:  # noqa: FBT001  # a column of a table
    operations = read_patch(f'[{{"op":"test","path":"/a","value":{asked}}}]'.encode())
    document = f'{{"a":{kept}}}'.encode()
    if equal:
        assert apply_patch(document, operations) == document
    else:
        with pytest.raises(PatchDoesNotApplyError) as refusal:
            apply_patch(document, operations)
        assert refusal.value.where == "patch[0]"


def test_what_no_operation_names_keeps_its_bytes() -> None:
    document = rb'{"z": 1.50, "a" :[1.0e5 , -0.0],"s":"\u00e9\/","o":{"k":0.10,"l":[ 2.000 ]}}'
    out = patched(document, {"op": "add", "path": "/o/m", "value": "new"}, {"op": "remove", "path": "/o/l"})
    assert out == rb'{"z":1.50,"a":[1.0e5 , -0.0],"s":"\u00e9\/","o":{"k":0.10,"m":"new"}}'


def test_what_an_operation_brings_keeps_its_bytes_too() -> None:
    operations = read_patch(rb'[{"op":"replace","path":"/v","value":{"value":7.10,"s":"\u00e9"}}]')
    assert apply_patch(b'{"v":1}', operations) == rb'{"v":{"value":7.10,"s":"\u00e9"}}'


def test_copies_and_moves_carry_bytes() -> None:
    out = patched(
        b'{"a":{"v":1.50},"b":[]}',
        {"op": "copy", "from": "/a/v", "path": "/b/-"},
        {"op": "move", "from": "/a", "path": "/b/0"},
    )
    assert out == b'{"b":[{"v":1.50},1.50]}'


@pytest.mark.parametrize(
    "operation",
    [
        {"op": "remove", "path": "/none"},
        {"op": "remove", "path": ""},
        {"op": "replace", "path": "/none", "value": 1},
        {"op": "add", "path": "/none/b", "value": 1},
        {"op": "add", "path": "/list/3", "value": 1},
        {"op": "add", "path": "/list/01", "value": 1},
        {"op": "replace", "path": "/list/2", "value": 1},
        {"op": "replace", "path": "/list/-", "value": 1},
        {"op": "remove", "path": "/list/-1"},
        {"op": "add", "path": "/text/a", "value": 1},
        {"op": "move", "from": "/object", "path": "/object/a"},
        {"op": "copy", "from": "/none", "path": "/b"},
        {"op": "test", "path": "/none", "value": 1},
    ],
)
def test_an_operation_that_cannot_be_done_is_named_and_nothing_is_quoted(operation: dict[str, Any]) -> None:
    document = b'{"list":[1,2],"text":"secret","object":{"a":1}}'
    with pytest.raises(PatchDoesNotApplyError) as refusal:
        patched(document, {"op": "test", "path": "/text", "value": "secret"}, operation)
    assert refusal.value.where == "patch[1]"
    assert "operation 1" in refusal.value.detail
    assert "secret" not in refusal.value.detail


@pytest.mark.parametrize(
    "patch",
    [
        b"{}",
        b"[1]",
        b'[{"op":"add","path":"/a"}]',
        b'[{"op":"paint","path":"/a","value":1}]',
        b'[{"path":"/a","value":1}]',
        b'[{"op":"add","path":"a","value":1}]',
        b'[{"op":"add","path":"/~2","value":1}]',
        b'[{"op":"add","path":1,"value":1}]',
        b'[{"op":"move","path":"/a"}]',
        b'[{"op":"add","path":"' + b"/a" * 65 + b'","value":1}]',
    ],
)
def test_what_is_no_patch_is_refused(patch: bytes) -> None:
    with pytest.raises(BadPatchError):
        read_patch(patch)


def test_a_patch_is_bounded_in_operations_and_in_what_copies_make() -> None:
    many = json.dumps([{"op": "test", "path": "", "value": {}}] * 1001).encode()
    with pytest.raises(OversizedPatchError):
        read_patch(many)
    doubling = json.dumps([{"op": "copy", "from": "", "path": "/a/-"}] * 60).encode()
    with pytest.raises(OversizedPatchError):
        apply_patch(b'{"a":["x"]}', read_patch(doubling), Limits(body_bytes=1 << 16))


def test_tests_of_a_patch_are_paid_for_by_what_they_read() -> None:
    document = json.dumps({"a": "x" * 1000, "b": "y"}).encode()
    whole = {"op": "test", "path": "", "value": json.loads(document)}
    part = {"op": "test", "path": "/b", "value": "y"}
    limits = Limits(body_bytes=4 * len(document) + 100)

    assert apply_patch(document, read_patch(json.dumps([whole] * 4 + [part] * 30).encode()), limits)
    with pytest.raises(OversizedPatchError) as refused:
        apply_patch(document, read_patch(json.dumps([part] * 30 + [whole] * 5).encode()), limits)
    assert refused.value.where == "patch[34]"


@pytest.mark.parametrize("last", [[], [{"op": "copy", "from": "/m", "path": "/c"}]])
def test_a_patch_that_moves_deep_things_into_deep_things_is_refused(last: list[dict[str, Any]]) -> None:
    chain: Any = "x"
    for _level in range(60):
        chain = {"a": chain}
    operations: list[dict[str, Any]] = [{"op": "add", "path": "/m", "value": chain}]
    for _pair in range(40):
        operations.append({"op": "add", "path": "/n", "value": chain})
        operations.append({"op": "move", "from": "/m", "path": "/n" + "/a" * 60})
        operations.append({"op": "move", "from": "/n", "path": "/m"})
    with pytest.raises(OversizedPatchError, match="too deep") as refusal:
        patched(b'{"m":1}', *operations, *last)
    assert refusal.value.__context__ is None


_VALUE = st.recursive(
    st.booleans() | st.integers(-9, 9) | st.sampled_from(["a", "b"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=8,
)
_STEPS = st.lists(st.sampled_from(["a", "b", "0", "1", "-"]), max_size=3)
_PATH = _STEPS.map(lambda steps: "".join(f"/{step}" for step in steps))
_OPERATION = st.one_of(
    st.fixed_dictionaries({"op": st.sampled_from(["add", "replace", "test"]), "path": _PATH, "value": _VALUE}),
    st.fixed_dictionaries({"op": st.just("remove"), "path": _PATH}),
    st.fixed_dictionaries({"op": st.sampled_from(["move", "copy"]), "path": _PATH, "from": _PATH}),
)


@given(st.dictionaries(st.sampled_from("ab"), _VALUE), st.lists(_OPERATION, max_size=5))
def test_any_patch_does_what_a_plain_implementation_does(document: Any, operations: list[Any]) -> None:  # noqa: ANN401  # any JSON value
    raw = json.dumps(document).encode()
    try:
        ours: object = json.loads(apply_patch(raw, read_patch(json.dumps(operations).encode())))
    except ExchangeError:
        ours = ExchangeError
    assert ours == naive(document, operations)


class Nowhere(Exception):  # noqa: N818  # not an error of anything
    """What the plain implementation says where an operation cannot be done."""


class Plain:
    """RFC 6902 on plain values, as short as it gets; the document is a member of an object, so that it has a parent."""

    def __init__(self, document: Any) -> None:  # noqa: ANN401  # any JSON value
        self.box = json.loads(json.dumps({"root": document}))

    def parent(self, path: str, more: int = 0) -> tuple[Any, Any]:
        here, (*steps, last) = self.box, ["root", *path.split("/")[1:]]
        for step in steps:
            here = here[self.key(here, step, 0)]
        return here, self.key(here, last, more)

    def key(self, here: Any, step: str, more: int) -> Any:  # noqa: ANN401  # any JSON value
        if isinstance(here, dict) and (step in here or more):
            return step
        if isinstance(here, list) and more and step == "-":
            return len(here)
        if isinstance(here, list) and step.isdigit() and int(step) < len(here) + more:
            return int(step)
        raise Nowhere

    def get(self, path: str) -> Any:  # noqa: ANN401  # any JSON value
        here, key = self.parent(path)
        return here[key]

    def add(self, path: str, value: object) -> None:
        here, key = self.parent(path, 1)
        if isinstance(here, list):
            here.insert(key, value)
        else:
            here[key] = value

    def take(self, path: str) -> object:
        here, key = self.parent(path or self.refuse())
        return here.pop(key)

    def refuse(self) -> str:
        raise Nowhere

    def do(self, operation: dict[str, Any]) -> None:
        path, source = operation["path"], operation.get("from", "")
        match operation["op"]:
            case "add":
                self.add(path, operation["value"])
            case "remove":
                self.take(path)
            case "replace":
                here, key = self.parent(path)
                here[key] = operation["value"]
            case "copy":
                self.add(path, json.loads(json.dumps(self.get(source))))
            case "move" if path == source:
                self.get(path)
            case "move":
                self.add(path, self.refuse() if path.startswith(f"{source}/") else self.take(source))
            case _ if json.dumps(self.get(path), sort_keys=True) != json.dumps(operation["value"], sort_keys=True):
                self.refuse()


def naive(document: Any, operations: list[Any]) -> object:  # noqa: ANN401  # any JSON value
    """What comes out, or that nothing does."""
    plain = Plain(document)
    try:
        for operation in operations:
            plain.do(operation)
    except Nowhere:
        return ExchangeError
    return plain.box["root"]
