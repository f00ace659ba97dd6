"""JSON Patch on bytes: what an operation does not name keeps the bytes it had, numbers and escapes included.

A document is opened only along the paths of the operations; everything beside them stays the text that arrived, and
what an operation brings is the text that it brought. Nothing is read as a number and written again (ADR 34).

Atomic: a patch gives a new document or an error, which names the operation by its index and quotes nothing.

Source: RFC 6902 "JSON Patch"; RFC 6901 "JSON Pointer".
"""

import json
import re
from collections.abc import Callable, Mapping
from decimal import Decimal, InvalidOperation
from types import MappingProxyType
from typing import NamedTuple, TypeAlias

from msgspec import Raw

from health_exchange.fhir.jsonguard import decode_json
from health_exchange.fhir.limits import DEFAULT, Limits
from health_exchange.fhir.splicing import fields, items, join_array, join_object, kind_of, text
from health_exchange.model.errors import Category, ExchangeError

_INDEX = re.compile(r"0|[1-9][0-9]{0,8}")
_BAD_ESCAPE = re.compile(r"~(?![01])")


class BadPatchError(ExchangeError):
    """The text is no JSON Patch."""

    category = Category.INCORRECT
    code = "bad-patch"


class PatchDoesNotApplyError(ExchangeError):
    """An operation finds another document than it was made for."""

    category = Category.INCORRECT
    code = "patch-does-not-apply"


class OversizedPatchError(ExchangeError):
    """More operations, or a larger result, than a patch may have."""

    category = Category.TOO_LARGE
    code = "oversized-patch"


Node: TypeAlias = "Raw | dict[str, Node] | list[Node]"
"""A value: as its bytes until a path goes through it, then its members or items."""
Pointer: TypeAlias = tuple[str, ...]


class Operation(NamedTuple):
    """One operation, checked: ``value`` and ``source`` are there where its kind needs them."""

    number: int
    kind: str
    path: Pointer
    source: Pointer = ()
    value: Raw = Raw(b"null")

    @property
    def name(self) -> str:
        """How messages call it."""
        return f"operation {self.number} ({self.kind})"


def read_patch(raw: bytes, limits: Limits = DEFAULT) -> list[Operation]:
    """The operations of a JSON Patch.

    Args:
        raw: Untrusted.
        limits: Bounds on depth and operations.

    Raises:
        MalformedResourceError: It is no sound JSON.
        BadPatchError: It is no JSON Patch; says which operation is wrong.
        OversizedPatchError: It has too many operations.
    """
    decode_json(raw, limits, where="patch")
    if kind_of(raw) != "[":
        raise BadPatchError("a JSON Patch is an array of operations")
    operations = items(raw)
    if len(operations) > limits.operations:
        raise OversizedPatchError(f"a patch has at most {limits.operations} operations")
    return [_operation(index, each, limits) for index, each in enumerate(operations)]


def apply_patch(raw: bytes, operations: list[Operation], limits: Limits = DEFAULT) -> bytes:
    """The document that ``raw`` becomes; cost is linear in the objects and arrays on the operations' paths.

    Args:
        raw: The document: sound JSON.
        operations: As :func:`read_patch` gives them.
        limits: Bound on the bytes that copies may add, and on those that tests may read.

    Raises:
        PatchDoesNotApplyError: A path leads nowhere, or a test fails; says which operation.
        OversizedPatchError: Copies would make it too large, or moves too deep, or tests read too much of it.
    """
    document = _Document(raw, limits.body_bytes)
    try:
        for operation in operations:
            _DO[operation.kind](document, operation)
        return _bytes_of(document.root)
    # Each path is bounded, but what is moved may be moved into what was moved before.
    except RecursionError:
        pass
    raise OversizedPatchError("the resource becomes too deep", where="patch")


class _Document:
    """The document while it changes."""

    def __init__(self, raw: bytes, bytes_max: int) -> None:
        self.root: Node = Raw(raw)
        self._left = bytes_max - len(raw)
        self._unread = bytes_max

    def at(self, operation: Operation, path: Pointer) -> Node:
        """The value at ``path``."""
        if not path:
            return self.root
        parent = self.parent(operation, path)
        if isinstance(parent, dict):
            if path[-1] not in parent:
                raise _nowhere(operation)
            return parent[path[-1]]
        return parent[_place(operation, path[-1], len(parent))]

    def parent(self, operation: Operation, path: Pointer) -> "dict[str, Node] | list[Node]":
        """What holds the value at ``path``, opened."""
        self.root = here = _opened(operation, self.root)
        for step in path[:-1]:
            if isinstance(here, dict):
                if step not in here:
                    raise _nowhere(operation)
                here[step] = below = _opened(operation, here[step])
            else:
                place = _place(operation, step, len(here))
                here[place] = below = _opened(operation, here[place])
            here = below
        return here

    def add(self, operation: Operation, path: Pointer, value: Node) -> None:
        """Put a value: a new or other member, or a new item before another."""
        if not path:
            self.root = value
            return
        parent = self.parent(operation, path)
        if isinstance(parent, dict):
            parent[path[-1]] = value
        elif path[-1] == "-":
            parent.append(value)
        else:
            parent.insert(_place(operation, path[-1], len(parent) + 1), value)

    def replace(self, operation: Operation, path: Pointer, value: Node) -> None:
        """Put another value in the place of one."""
        self.at(operation, path)
        if not path:
            self.root = value
            return
        parent = self.parent(operation, path)
        if isinstance(parent, dict):
            parent[path[-1]] = value
        else:
            parent[_place(operation, path[-1], len(parent))] = value

    def take(self, operation: Operation, path: Pointer) -> Node:
        """Take a value out."""
        if not path:
            raise PatchDoesNotApplyError(f"{operation.name}: nobody takes the whole away", where=_where(operation))
        value, parent = self.at(operation, path), self.parent(operation, path)
        if isinstance(parent, dict):
            del parent[path[-1]]
        else:
            del parent[_place(operation, path[-1], len(parent))]
        return value

    def copied(self, operation: Operation, path: Pointer) -> Raw:
        """A value once more; each copy is paid for, because copies of copies double."""
        copied = _bytes_of(self.at(operation, path))
        self._left -= len(copied)
        if self._left < 0:
            raise OversizedPatchError(f"{operation.name}: the resource becomes too large", where=_where(operation))
        return Raw(copied)

    def read(self, operation: Operation, path: Pointer) -> bytes:
        """A value as it is; each reading is paid for, because a patch may ask for the whole in each operation."""
        found = _bytes_of(self.at(operation, path))
        self._unread -= len(found)
        if self._unread < 0:
            raise OversizedPatchError(f"{operation.name}: the tests of a patch read too much", where=_where(operation))
        return found


def _add(document: _Document, operation: Operation) -> None:
    document.add(operation, operation.path, operation.value)


def _remove(document: _Document, operation: Operation) -> None:
    document.take(operation, operation.path)


def _replace(document: _Document, operation: Operation) -> None:
    document.replace(operation, operation.path, operation.value)


def _move(document: _Document, operation: Operation) -> None:
    if operation.path[: len(operation.source)] == operation.source and operation.path != operation.source:
        raise PatchDoesNotApplyError(f"{operation.name}: nothing is moved into itself", where=_where(operation))
    if operation.path == operation.source:
        document.at(operation, operation.path)
        return
    document.add(operation, operation.path, document.take(operation, operation.source))


def _copy(document: _Document, operation: Operation) -> None:
    document.add(operation, operation.path, document.copied(operation, operation.source))


def _test(document: _Document, operation: Operation) -> None:
    if not _same(_read(document.read(operation, operation.path)), _read(bytes(operation.value))):
        raise PatchDoesNotApplyError(f"{operation.name}: the value is another one", where=_where(operation))


_DO: Mapping[str, Callable[[_Document, Operation], None]] = MappingProxyType(
    {"add": _add, "remove": _remove, "replace": _replace, "move": _move, "copy": _copy, "test": _test}
)
_WITH_VALUE = frozenset({"add", "replace", "test"})
_WITH_SOURCE = frozenset({"move", "copy"})


def _operation(index: int, raw: Raw, limits: Limits) -> Operation:
    """One operation, checked. Members that its kind does not know are passed over, as the RFC has it."""
    if kind_of(raw) != "{":
        raise BadPatchError(f"operation {index} is no object", where=f"patch[{index}]")
    members = fields(raw)
    kind = _text(index, members, "op")
    if kind not in _DO:
        raise BadPatchError(f"operation {index}: op is one of {', '.join(_DO)}", where=f"patch[{index}].op")
    if kind in _WITH_VALUE and "value" not in members:
        raise BadPatchError(f"operation {index} ({kind}) needs a value", where=f"patch[{index}].value")
    return Operation(
        number=index,
        kind=kind,
        path=_pointer(index, members, "path", limits),
        source=_pointer(index, members, "from", limits) if kind in _WITH_SOURCE else (),
        value=members.get("value", Raw(b"null")),
    )


def _pointer(index: int, members: Mapping[str, Raw], name: str, limits: Limits) -> Pointer:
    """A JSON Pointer's steps, unescaped."""
    pointer = _text(index, members, name)
    if pointer and not pointer.startswith("/"):
        raise BadPatchError(f"operation {index}: a path begins with /", where=f"patch[{index}].{name}")
    if _BAD_ESCAPE.search(pointer):
        raise BadPatchError(f"operation {index}: a path has ~0 and ~1 only", where=f"patch[{index}].{name}")
    steps = tuple(step.replace("~1", "/").replace("~0", "~") for step in pointer.split("/")[1:])
    if len(steps) > limits.depth:
        raise BadPatchError(f"operation {index}: a path has at most {limits.depth} steps", where=f"patch[{index}]")
    return steps


def _text(index: int, members: Mapping[str, Raw], name: str) -> str:
    """A member that is a string."""
    value = members.get(name)
    if value is None or kind_of(value) != '"':
        raise BadPatchError(f"operation {index} needs a string {name}", where=f"patch[{index}].{name}")
    return text(value)


def _opened(operation: Operation, node: Node) -> "dict[str, Node] | list[Node]":
    """A value as its members or items."""
    if not isinstance(node, Raw):
        return node
    kind = kind_of(node)
    if kind == "{":
        return {**fields(node)}
    if kind == "[":
        return [*items(node)]
    raise _nowhere(operation)


def _place(operation: Operation, step: str, length: int) -> int:
    """An index into an array of ``length``."""
    if _INDEX.fullmatch(step) is None or int(step) >= length:
        raise _nowhere(operation)
    return int(step)


def _nowhere(operation: Operation) -> PatchDoesNotApplyError:
    """A path that leads nowhere."""
    return PatchDoesNotApplyError(f"{operation.name}: its path leads nowhere", where=_where(operation))


def _where(operation: Operation) -> str:
    return f"patch[{operation.number}]"


def _bytes_of(node: Node) -> bytes:
    """A value as text; whatever was never opened as it came."""
    if isinstance(node, dict):
        return join_object({name: _bytes_of(inner) for name, inner in node.items()})
    if isinstance(node, list):
        return join_array([_bytes_of(inner) for inner in node])
    return bytes(node)


def _read(raw: bytes) -> object:
    """A value for comparing: numbers exact, whatever they look like."""
    return json.loads(raw, parse_float=_number, parse_int=_number)


def _number(written: str) -> object:
    """A number as it is, or as it is written where its exponent is beyond what even a decimal has."""
    try:
        return Decimal(written)
    except InvalidOperation:
        return (written,)


def _same(one: object, other: object) -> bool:
    """Whether two values are equal as JSON: numbers by their value, objects without regard to order."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_same(inner, other[name]) for name, inner in one.items())
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_same, one, other))
    return type(one) is type(other) and one == other
