"""The state machine: whatever a few clients may ask of a node, in any order, against the oracle."""

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule
from tests.oracle.door import (
    Door,
    carries_out,
    differences,
    made_up,
    opened,
    search_url,
    told_alone,
    told_in,
    version_in,
)
from tests.oracle.server import Ask, Body, Name, Oracle, Pairs, Told, linearised, same, subject_of
from tests.oracle.walks import HistoryWalk, SearchWalk, check_order, check_page, check_same, current_at
from tests.oracle.wishes import TYPES, Wish, people, places, questions, results, writes

T = TypeVar("T")
URN = "urn:uuid:00000000-0000-4000-8000-00000000000{}"
BUSY = 429
SCOPES = ("", "Patient", "Observation", "one")
WALKS_MAX = 3
kinds = st.sampled_from(TYPES)


class Machine(RuleBasedStateMachine):
    """A node with nothing in it, and the oracle beside it."""

    def __init__(self, folder: Path, database: str) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.stack = AsyncExitStack()
        self.door: Door = self.run(self.stack.enter_async_context(opened(folder, database)))
        self.oracle = Oracle()
        self.walks: list[SearchWalk | HistoryWalk] = []
        self.fits = True

    def run(self, work: Any) -> Any:  # noqa: ANN401  # whatever the coroutine gives
        """Have a coroutine done."""
        return self.runner.run(work)

    def teardown(self) -> None:
        """Read all there is once more, and close."""
        try:
            while self.walks and self.fits:
                self.go_on(0)
            if self.fits:
                self.read_history("", 0, 7, 0)
        finally:
            self.run(self.stack.aclose())
            self.runner.close()

    @initialize(people=st.lists(people(), min_size=3, max_size=5), found=st.lists(results(), min_size=3, max_size=5))
    def fill(self, people: list[Body], found: list[Body]) -> None:
        """Have something there."""
        for number, body in [*enumerate(people), *enumerate(found)]:
            kind = body["resourceType"]
            resource_id = f"{kind[0].lower()}{number}"
            kept = {name: value for name, value in body.items() if name != "subject" or "?" not in subject_of(body)}
            ask = Ask(method="PUT", type=kind, id=resource_id, body={**kept, "id": resource_id})
            self._compare([ask], [self.run(self._written(ask))])
            self._wrote(set())

    @rule(wish=writes(by_condition=True), minimal=st.booleans())
    def write_on_condition(self, wish: Wish, *, minimal: bool) -> None:
        """One write alone, on a condition."""
        self.write(wish, minimal=minimal)

    @rule(wish=writes(), minimal=st.booleans())
    def write(self, wish: Wish, *, minimal: bool) -> None:
        """One write alone."""
        ask = self._ask(wish)
        seen = self.run(self._written(ask, minimal=minimal))
        assert (seen.body is None) == (minimal or seen.status not in {200, 201})
        self._compare([ask], [seen])
        self._wrote(set())

    @rule(wishes=st.lists(writes(), min_size=1, max_size=4), minimal=st.booleans())
    def transact(self, wishes: list[Wish], *, minimal: bool) -> None:
        """Several, all or none."""
        asks = self._asks(wishes)
        self._compare(asks, self.run(self._transacted(asks, minimal=minimal)))
        self._wrote(set())

    @rule(wishes=st.lists(writes(), min_size=1, max_size=4))
    def batch(self, wishes: list[Wish]) -> None:
        """Several, one after the other."""
        asks = [self._ask(wish) for wish in wishes]
        answer = self.run(self.door.bundle("batch", asks))
        assert answer.status_code == 200, answer.text
        for ask, entry in zip(asks, answer.json()["entry"], strict=True):
            self._compare([ask], [told_in(entry)])
        self._wrote(set())

    @rule(
        wishes=st.lists(writes(), min_size=2, max_size=4),
        transacted=st.lists(writes(), max_size=2),
    )
    def write_at_once(self, wishes: list[Wish], transacted: list[Wish]) -> None:
        """Several clients at once: there is an order in which each was answered rightly."""
        alone, together = [self._ask(wish) for wish in wishes], self._asks(transacted)
        work = [self._written(ask) for ask in alone]
        answers = self.run(_all(work, self._transacted(together, minimal=False) if together else None))
        at = self.door.clock.at
        asked = [
            partial(carries_out, asks=asks, at=at, seen=seen) if seen[0].status != BUSY else _nothing
            for asks, seen in zip([*([ask] for ask in alone), *([together] if together else [])], answers, strict=True)
        ]
        self.fits, before = False, self.oracle
        pages = self.run(self.door.pages("/fhir/_history?_count=200"))
        told = [version_in(entry) for page in pages for entry in page.get("entry", [])]
        after = linearised(before, asked, {(name, version.number): version.body for name, version in told})
        self.fits = after is not None
        assert after is not None, (answers, alone, together)
        self.oracle = after
        touched = {name for name in after.kept if after.version(name) != before.version(name)}
        self._wrote(touched)

    @rule(kind=kinds, place=places, known=st.sampled_from(("", "right", "wrong")), number=st.integers(0, 4))
    def read(self, kind: str, place: int, known: str, number: int) -> None:
        """Read one, perhaps with what the client has of it, and a version of it."""
        name = self._name(kind, place)
        version, body = self.oracle.version(name), self.oracle.body(name)
        headers = {"If-None-Match": f'W/"{version + (known == "wrong")}"'} if known else {}
        answer = self.run(self.door.send("GET", "/fhir/" + "/".join(name), headers=headers))
        expected = 404 if not version else 410 if body is None else 304 if known == "right" else 200
        assert answer.status_code == expected, answer.text
        assert not body or answer.headers["ETag"] == f'W/"{version}"'
        assert expected != 200 or same(answer.json(), body)
        there = {version.number: version.body for version in self.oracle.kept.get(name, [])}
        answer = self.run(self.door.send("GET", f"/fhir/{name[0]}/{name[1]}/_history/{number}"))
        assert answer.status_code == (404 if number not in there else 410 if there[number] is None else 200)
        assert not there.get(number) or same(answer.json(), there[number])

    @rule(scope=st.sampled_from(SCOPES), place=places, count=st.integers(1, 5), back=st.integers(0, 6))
    def read_history(self, scope: str, place: int, count: int, back: int) -> None:
        """All of a history, or what was made since a version: all its pages."""
        path, kind, resource_id = self._scope(scope, place)
        since = self._instant(back)
        query = f"{path}?_count={count}" + (f"&_since={_text(since)}" if since else "")
        if resource_id and not self.oracle.version((kind, resource_id)):
            assert self.run(self.door.http.get(query)).status_code == 404
            return
        pages = self.run(self.door.pages(query))
        versions = [version_in(entry) for page in pages for entry in page.get("entry", [])]
        check_order(versions)
        expected = self.oracle.history(kind, resource_id, since=since)
        check_same(expected, versions)
        assert pages[0].get("total") == (len(expected) if resource_id else None)
        assert all(len(page.get("entry", [])) == count for page in pages[:-1])

    @rule(scope=st.sampled_from(SCOPES), place=places, back=st.integers(1, 6))
    def read_history_at(self, scope: str, place: int, back: int) -> None:
        """What was current at an instant."""
        path, kind, resource_id = self._scope(scope, place)
        at = self._instant(back)
        if at is None or (resource_id and not self.oracle.version((kind, resource_id))):
            return
        pages = self.run(self.door.pages(f"{path}?_at={_text(at)}"))
        told = [version_in(entry) for page in pages for entry in page.get("entry", [])]
        must, may = current_at(self.oracle, at, kind=kind, resource_id=resource_id)
        assert must <= {(name, version.number) for name, version in told} <= must | may

    @rule(question=questions())
    def search(self, question: tuple[str, Pairs]) -> None:
        """All pages of a search."""
        kind, pairs = question
        pages = self.run(self.door.pages(search_url(kind, pairs)))
        expected = self.oracle.found(kind, pairs)
        told = [name for page in pages for name in check_page(page, self.oracle, kind, pairs)]
        # Where nobody insists and counting is dear, no total is told; a wrong one never.
        insists = ("_total", "accurate") in pairs or ("_count", "0") in pairs
        assert {page.get("total", None if insists else len(expected)) for page in pages} == {len(expected)}
        assert told == (expected if dict(pairs)["_count"] != "0" else [])

    @precondition(lambda self: len(self.walks) < WALKS_MAX)
    @rule(question=questions(paged=True))
    def begin_search(self, question: tuple[str, Pairs]) -> None:
        """Read the first page of a search."""
        walk = SearchWalk(kind=question[0], pairs=question[1])
        self.run(walk.begin(self.door, self.oracle))
        self.walks += [walk] if walk.url else []

    @precondition(lambda self: len(self.walks) < WALKS_MAX)
    @rule(scope=st.sampled_from(SCOPES), place=places, count=st.integers(1, 3))
    def begin_history(self, scope: str, place: int, count: int) -> None:
        """Read the first page of a history."""
        path, kind, resource_id = self._scope(scope, place)
        if resource_id and not self.oracle.version((kind, resource_id)):
            return
        walk = HistoryWalk(path=f"{path}?_count={count}", begun_at=self.door.clock.at)
        self.run(walk.begin(self.door, self.oracle, kind, resource_id))
        self.walks += [walk] if walk.url else []

    @precondition(lambda self: self.walks)
    @rule(which=st.integers(0, WALKS_MAX - 1))
    def go_on(self, which: int) -> None:
        """Follow the link to the next page."""
        walk = self.walks[which % len(self.walks)]
        self.run(walk.go_on(self.door, self.oracle))
        if not walk.url:
            self.walks.remove(walk)

    @rule(milliseconds=st.sampled_from((1, 999, 86_400_000)))
    def wait(self, milliseconds: int) -> None:
        """Let time go by; less than links live, so walks that a day would end are read to their ends before."""
        while milliseconds > 1_000 and self.walks:
            self.go_on(0)
        self.door.clock.advance(milliseconds)

    async def _written(self, ask: Ask, *, minimal: bool = False) -> Told:
        return told_alone(await self.door.write(ask, minimal=minimal), self.door.base)

    async def _transacted(self, asks: Sequence[Ask], *, minimal: bool = True) -> list[Told]:
        answer = await self.door.bundle("transaction", asks, minimal=minimal)
        if not answer.is_success:
            return [Told(status=answer.status_code)]
        return [told_in(entry) for entry in answer.json()["entry"]]

    def _compare(self, asks: Sequence[Ask], seen: Sequence[Told]) -> None:
        """Have the oracle do the same."""
        self.fits, after = False, self.oracle.twin()
        outcome = after.carry_out(asks, self.door.clock.at, made_up(asks, seen))
        self.fits = not differences(outcome, seen)
        assert self.fits, (differences(outcome, seen), asks)
        self.oracle = after
        for walk in self.walks:
            walk.wrote(self.oracle, set())

    def _wrote(self, touched: set[Name]) -> None:
        for walk in self.walks:
            walk.wrote(self.oracle, touched)
        self.door.clock.advance(1)

    def _asks(self, wishes: Sequence[Wish]) -> list[Ask]:
        """Writes of one transaction, each by a name that the others may use."""
        return [self._ask(wish, URN.format(number)) for number, wish in enumerate(wishes)]

    def _ask(self, wish: Wish, urn: str = "") -> Ask:
        """A write of what there is."""
        name = self._name(wish.type, wish.place)
        if wish.condition:
            found = self.oracle.found(wish.type, wish.condition)
            name = found[0] if found else name
        body, by_id = wish.body, wish.method != "POST" and not wish.condition
        if wish.method == "PUT" and by_id:
            body = {**body, "id": name[1]}
        elif wish.method == "PUT" and wish.brings >= 0:
            body = {**body, "id": self._name(wish.type, wish.brings)[1]}
        version = self.oracle.version(name)
        return Ask(
            method=wish.method,
            type=wish.type,
            id=name[1] if by_id else "",
            body=body,
            condition=tuple(wish.condition),
            if_match={"right": version, "wrong": version + 1}.get(wish.match),
            is_new=wish.match == "new",
            urn=urn if wish.method in {"POST", "PUT"} else "",
        )

    def _name(self, kind: str, place: int) -> Name:
        """One of what there is, as long as there is as much."""
        there = [name for name in self.oracle.kept if name[0] == kind]
        return there[place] if place < len(there) else (kind, f"{kind[0].lower()}{place}")

    def _scope(self, scope: str, place: int) -> tuple[str, str, str]:
        """The path of a history, and what it is of."""
        if scope == "one":
            kind, resource_id = self._name("Observation" if place % 2 else "Patient", place // 2)
            return f"/fhir/{kind}/{resource_id}/_history", kind, resource_id
        return f"/fhir/{scope}/_history".replace("//", "/"), scope, ""

    def _instant(self, back: int) -> Any:  # noqa: ANN401  # an instant, or none
        """When one of the last versions was made."""
        times = sorted(version.made_at for _name, version in self.oracle.history())
        return times[-back] if 0 < back <= len(times) else None


async def _all(alone: Sequence[Any], together: Any) -> list[list[Told]]:  # noqa: ANN401  # coroutines
    """What all of them come to, begun at once."""

    async def one(work: Any) -> list[Told]:  # noqa: ANN401  # a coroutine
        return [await work]

    return await asyncio.gather(*map(one, alone), *([together] if together is not None else []))


def _nothing(_oracle: Oracle) -> bool:
    """A request that was told to come again has done nothing."""
    return True


def _text(at: Any) -> str:  # noqa: ANN401  # an instant
    text: str = at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return text
