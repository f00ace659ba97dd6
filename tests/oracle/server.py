"""A FHIR server as naive as can be: dictionaries of versions in memory, and every search goes through all of them.

It is what a node that stands alone is compared with. It shares no line with the node; what it does is what FHIR R4
says, and where that leaves a choice, what ``docs/design/fhir-door.md`` says. Ids that a server makes up are told to it.

Source: FHIR R4, sections 3.1.0 "RESTful API" and 3.1.1 "Search".
"""

import copy
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, TypeAlias
from urllib.parse import parse_qsl

from tests.oracle.matching import holds, sort_key

Name: TypeAlias = tuple[str, str]
Pairs: TypeAlias = Sequence[tuple[str, str]]
Body: TypeAlias = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """One version of a resource; without a body it is deleted."""

    number: int
    made_at: datetime
    body: Body | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """One write that a client asks for.

    Attributes:
        method: ``POST``, ``PUT``, ``PATCH`` or ``DELETE``.
        type: Resource type in the URL.
        id: Id in the URL; empty for a create, and where there is a condition.
        body: The resource, or the operations of a patch.
        condition: The URL's query, or what a create has in If-None-Exist.
        if_match: Version in If-Match.
        is_new: Whether it says ``If-None-Match: *``.
        urn: What other entries of the same transaction call it.
    """

    method: str
    type: str
    id: str = ""
    body: Any = None
    condition: tuple[tuple[str, str], ...] = ()
    if_match: int | None = None
    is_new: bool = False
    urn: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What a client hears of one write: a delete has no place, and a minimal answer no body."""

    status: int
    name: Name | None = None
    version: int = 0
    body: Body | None = None


Outcome: TypeAlias = Sequence[Told] | frozenset[int]
"""What becomes of writes that stand together: one answer each, or any of several statuses and nothing is changed."""


class RefusedError(Exception):
    """What is wrong with a write: any of these statuses says something true."""

    def __init__(self, *statuses: int) -> None:
        self.statuses = statuses


@dataclass(slots=True)
class Oracle:
    """All that is kept.

    Attributes:
        kept: Versions of every resource there ever was, in the order in which they were first written.
    """

    kept: dict[Name, list[Version]] = field(default_factory=dict)

    def twin(self) -> "Oracle":
        """Another one that keeps the same."""
        return Oracle({name: [*versions] for name, versions in self.kept.items()})

    def version(self, name: Name) -> int:
        """The number of the current version, 0 for nothing ever."""
        return self.kept[name][-1].number if name in self.kept else 0

    def body(self, name: Name) -> Body | None:
        """The current body; ``None`` for what is deleted or was never there."""
        return self.kept[name][-1].body if name in self.kept else None

    def found(self, resource_type: str, pairs: Pairs, without: Iterable[Name] = ()) -> list[Name]:
        """What a search finds, in the order it asks for; the newest first where it asks for none."""
        criteria = [pair for pair in pairs if pair[0] not in {"_sort", "_count", "_include", "_revinclude", "_total"}]
        names = [
            name
            for name in reversed(self.kept)
            if name[0] == resource_type and name not in without and (body := self.body(name)) is not None
            if all(holds(self, body, *pair) for pair in criteria)
        ]
        for rank in reversed([rank for key, value in pairs if key == "_sort" for rank in value.split(",")]):
            keys = {name: sort_key(self.body(name) or {}, rank) for name in names}
            ranked = sorted(
                (name for name in names if keys[name] is not None),
                key=lambda name, keys=keys: keys[name],  # type: ignore[misc]  # bound in this loop
                reverse=rank.startswith("-"),
            )
            names = [*ranked, *(name for name in names if keys[name] is None)]
        return names

    def beside(self, names: Iterable[Name], pairs: Pairs) -> set[Name]:
        """What ``_include`` and ``_revinclude`` of Observations and their subjects add."""
        page, added = set(names), set[Name]()
        if ("_include", "Observation:subject") in pairs:
            subjects = {subject_of(self.body(name) or {}) for name in page}
            places = (each.partition("/") for each in subjects if not each.startswith("urn:"))
            added |= {(kind, resource_id) for kind, slash, resource_id in places if slash}
        if ("_revinclude", "Observation:subject") in pairs:
            of = {f"{kind}/{each}" for kind, each in page}
            added |= {name for name in self.found("Observation", ()) if subject_of(self.body(name) or {}) in of}
        return {name for name in added - page if self.body(name) is not None}

    def history(
        self, resource_type: str = "", resource_id: str = "", *, since: datetime | None = None
    ) -> list[tuple[Name, Version]]:
        """Versions, in no order."""
        return [
            (name, version)
            for name, versions in self.kept.items()
            for version in versions
            if resource_type in {"", name[0]} and resource_id in {"", name[1]}
            if since is None or version.made_at >= since
        ]

    def carry_out(self, asks: Sequence[Ask], at: datetime, made_up: Sequence[str]) -> Outcome:
        """Do all of ``asks`` or none.

        Args:
            asks: Of one transaction, or one alone.
            at: When.
            made_up: For each the id that the node has made up, in case it is one that makes one up.
        """
        wrong: list[int] = []
        doomed: set[Name] = set()
        for ask in (each for each in asks if each.method == "DELETE"):
            doomed |= {(ask.type, ask.id)} if ask.id else set(self.found(ask.type, ask.condition))
        plans: list[_Plan] = []
        for ask, fresh in zip(asks, made_up, strict=True):
            try:
                plans.append(self._planned(ask, doomed, fresh, plans))
            except RefusedError as refused:
                wrong += refused.statuses
                # What else is wrong with it may be told as well.
                body = copy.deepcopy(ask.body) if isinstance(ask.body, dict) else None
                plans.append(_Plan(ask=ask, name=(ask.type, fresh), status=0, body=body))
        written = [plan.name for plan in plans if plan.status and (plan.status, plan.ask.method) != (200, "POST")]
        # Of what is refused anyway it is not told here where it would have gone, which may be where another goes.
        if len(set(written)) < len(written) or (wrong and len({ask.type for ask in asks}) < len(asks)):
            wrong.append(400)
        after = self._after(plans, at)
        for plan in plans:
            try:
                after.finish(plan, plans, doomed)
            except RefusedError as refused:
                wrong += refused.statuses
        if wrong:
            return frozenset(wrong)
        self.kept = after.kept
        return [plan.told(self) for plan in plans]

    def _planned(self, ask: Ask, doomed: set[Name], fresh: str, before: Sequence["_Plan"]) -> "_Plan":
        """What one write comes to, going by what there was before all of them."""
        name, found = (ask.type, ask.id or fresh), list[Name]()
        if ask.condition:
            found = self.found(ask.type, ask.condition, () if ask.method == "DELETE" else doomed)
            if len(found) > 1:
                raise RefusedError(412)
            own = (ask.body or {}).get("id") if ask.method == "PUT" else None
            if found and own not in {None, found[0][1]}:
                raise RefusedError(400)
            if not found and ask.method == "PATCH":
                raise RefusedError(404)
            name = found[0] if found else (ask.type, own or fresh)
            # Two conditions that are the same would find what the other creates.
            alike = [
                plan
                for plan in before
                if (plan.ask.type, plan.ask.condition) == (ask.type, ask.condition)
                if "DELETE" not in {plan.ask.method, ask.method}
            ]
            name = alike[0].name if alike and not found and own is None else name
            if ask.method == "POST" and (found or alike):
                return _Plan(ask=ask, name=name, status=200)
        now, version = self.body(name), self.version(name)
        if ask.method == "PATCH" and now is None:
            raise RefusedError(410 if version else 404)
        is_nothing = ask.method == "DELETE" and version == 0 and not ask.condition
        is_taken = bool(ask.condition) and not found and now is not None
        # What never was there matches no version, not even none.
        is_other = ask.if_match is not None and ask.if_match not in {version} - {0}
        is_other |= ask.is_new and now is not None
        if wrong := [404] * is_nothing + [409] * is_taken + [412] * is_other:
            raise RefusedError(*wrong)
        if ask.method == "DELETE":
            return _Plan(ask=ask, name=name, status=204, version=version + 1 if now is not None else 0)
        body = patched(now or {}, ask.body) if ask.method == "PATCH" else copy.deepcopy(ask.body)
        return _Plan(ask=ask, name=name, status=201 if now is None else 200, version=version + 1, body=body)

    def _after(self, plans: Sequence["_Plan"], at: datetime) -> "Oracle":
        """What is kept once all are carried out."""
        after = self.twin()
        for plan in plans:
            if plan.version:
                if plan.body is not None:
                    said = {"versionId": str(plan.version), "lastUpdated": at.isoformat(timespec="milliseconds")}
                    meta = {**plan.body.get("meta", {}), **said}
                    plan.body |= {"id": plan.name[1], "meta": meta}
                made = Version(number=plan.version, made_at=at, body=plan.body)
                after.kept.setdefault(plan.name, []).append(made)
        return after

    def finish(self, plan: "_Plan", plans: Sequence["_Plan"], doomed: set[Name]) -> None:
        """Have the references of one write point to what they mean, which conditions tell last of all."""
        urns = {each.ask.urn: "/".join(each.name) for each in plans if each.ask.urn}
        if plan.body is None or not (text := subject_of(plan.body)):
            return
        if "?" in text:
            kind, _mark, query = text.partition("?")
            found = self.found(kind, parse_qsl(query), doomed)
            if len(found) != 1:
                raise RefusedError(412 if found else 400)
            plan.body["subject"]["reference"] = "/".join(found[0])
        elif text in urns:
            plan.body["subject"]["reference"] = urns[text]


@dataclass(slots=True, kw_only=True)
class _Plan:
    """One write, and what it comes to: a version of 0 is none."""

    ask: Ask
    name: Name
    status: int
    version: int = 0
    body: Body | None = None

    def told(self, oracle: Oracle) -> Told:
        """As the client hears it."""
        if self.status == 204:
            return Told(status=204, version=oracle.version(self.name))
        return Told(status=self.status, name=self.name, version=oracle.version(self.name), body=oracle.body(self.name))


def subject_of(body: Mapping[str, Any]) -> str:
    """The text of an Observation's reference; empty without one."""
    text: str = body.get("subject", {}).get("reference", "")
    return text


def patched(body: Body, operations: Iterable[Mapping[str, Any]]) -> Body:
    """The body after a JSON Patch of members at its top.

    Raises:
        RefusedError: The patch does not apply, or what it leaves is no resource.
    """
    done = copy.deepcopy(body)
    for operation in operations:
        member = operation["path"].removeprefix("/")
        if operation["op"] != "add" and member not in done:
            raise RefusedError(422)
        if operation["op"] == "test" and done[member] != operation["value"]:
            raise RefusedError(422)
        if operation["op"] == "remove":
            del done[member]
        elif operation["op"] != "test":
            done[member] = operation["value"]
    if done["resourceType"] == "Observation" and not {"status", "code"} <= done.keys():
        raise RefusedError(422)
    return done


def linearised(
    oracle: Oracle,
    asked: Sequence[Callable[[Oracle], bool]],
    kept: Mapping[tuple[Name, int], Body | None],
    done: frozenset[int] = frozenset(),
) -> Oracle | None:
    """What is kept after all of ``asked`` in some order in which each comes to what was observed; ``None`` without one.

    Args:
        oracle: What is kept before.
        asked: Each carries itself out, and says whether that came to what was observed.
        kept: Every version there is afterwards: an answer to a delete does not say what was deleted.
        done: Those that are carried out already.

    Source: Wing and Gong, "Testing and Verifying Concurrent Objects" (1993).
    """
    if len(done) == len(asked):
        return oracle if {(name, each.number): each.body for name, each in oracle.history()} == kept else None
    for number, ask in enumerate(asked):
        if number not in done:
            after = oracle.twin()
            if ask(after) and (end := linearised(after, asked, kept, done | {number})) is not None:
                return end
    return None


def instant(text: str) -> datetime:
    """An instant as versions carry it."""
    return datetime.fromisoformat(text).astimezone(UTC)


def same(one: object, other: object) -> bool:
    """Whether two JSON values are equal, numbers by how they are written."""
    return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)
