"""Readers who follow links from page to page while others write: what they are promised, and whether it was kept."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from tests.oracle.door import Door, named, next_of, search_url, version_in
from tests.oracle.server import Name, Oracle, Pairs, Version, same


@dataclass(slots=True, kw_only=True)
class SearchWalk:
    """A search that is read page by page.

    Attributes:
        kind: Resource type.
        pairs: Parameters.
        url: Of the next page; empty at the end.
        stable: What has matched ever since the first page was read.
        order: In which the pages were to give it, when the first was read.
        seen: What the pages gave.
        total: What the first page said of how many there are.
    """

    kind: str
    pairs: Pairs
    url: str = ""
    stable: set[Name] = field(default_factory=set)
    order: list[Name] = field(default_factory=list)
    seen: list[Name] = field(default_factory=list)
    total: int = -1

    async def begin(self, door: Door, oracle: Oracle) -> None:
        """Read the first page."""
        self.order = oracle.found(self.kind, self.pairs)
        self.stable, self.total = set(self.order), len(self.order)
        self.url = search_url(self.kind, self.pairs)
        await self.go_on(door, oracle)

    def wrote(self, oracle: Oracle, touched: set[Name]) -> None:
        """Somebody has written; of ``touched`` it is not known how they were in between."""
        self.stable &= set(oracle.found(self.kind, self.pairs)) - touched

    async def go_on(self, door: Door, oracle: Oracle) -> None:
        """Read the next page, while nobody writes."""
        answer = await door.http.get(self.url)
        page = answer.json()
        assert answer.status_code == 200, page
        assert page.get("total", self.total) == self.total
        assert len(_of_mode(page, "match")) <= int(dict(self.pairs)["_count"])
        names = check_page(page, oracle, self.kind, self.pairs)
        self.seen += names
        is_sorted = any(name == "_sort" for name, _value in self.pairs)
        # In no order, what comes to match meanwhile may be on a later page; in an order all is decided by the first.
        order = self.order if is_sorted else list(reversed(oracle.kept))
        places = [order.index(name) for name in self.seen]
        assert places == sorted(set(places)), "repeated, or out of order"
        self.url = next_of(page)
        if not self.url:
            assert self.stable <= set(self.seen), "skipped"


@dataclass(slots=True, kw_only=True)
class HistoryWalk:
    """A history that is read page by page.

    Attributes:
        path: Of its first page.
        url: Of the next page; empty at the end.
        there: Versions there were when the first was read.
        begun_at: When that was.
        seen: What the pages gave.
    """

    path: str
    url: str = ""
    there: list[tuple[Name, Version]] = field(default_factory=list)
    begun_at: datetime
    seen: list[tuple[Name, Version]] = field(default_factory=list)

    async def begin(self, door: Door, oracle: Oracle, resource_type: str = "", resource_id: str = "") -> None:
        """Read the first page."""
        self.there = oracle.history(resource_type, resource_id)
        self.url = self.path
        await self.go_on(door, oracle)

    def wrote(self, _oracle: Oracle, _touched: set[Name]) -> None:
        """What was there stays."""

    async def go_on(self, door: Door, _oracle: Oracle) -> None:
        """Read the next page."""
        answer = await door.http.get(self.url)
        page = answer.json()
        assert answer.status_code == 200, page
        self.seen += [version_in(entry) for entry in page.get("entry", [])]
        check_order(self.seen)
        self.url = next_of(page)
        if not self.url:
            late = [(name, each) for name, each in self.seen if each.made_at >= self.begun_at]
            check_same(self.there, [each for each in self.seen if each not in late or each in self.there])


def check_page(page: dict[str, Any], oracle: Oracle, kind: str, pairs: Pairs) -> list[Name]:
    """The names on a page of a search, each of which matches now, as it is now, with what belongs beside them."""
    names = [named(entry) for entry in _of_mode(page, "match")]
    found = set(oracle.found(kind, pairs))
    assert set(names) <= found, "does not match"
    for entry in page.get("entry", []):
        assert same(entry["resource"], oracle.body(named(entry))), "not as it is now"
    beside = [named(entry) for entry in _of_mode(page, "include")]
    assert len(beside) == len(set(beside))
    assert set(beside) == (ours := oracle.beside(names, pairs)), (set(beside), ours, names, pairs)
    return names


def check_order(versions: Sequence[tuple[Name, Version]]) -> None:
    """Newest first, no version twice; of one resource by number."""
    told = [(name, version.number) for name, version in versions]
    assert len(told) == len(set(told)), "repeated"
    times = [version.made_at for _name, version in versions]
    assert times == sorted(times, reverse=True), "out of order"
    for one in {name for name, _number in told}:
        numbers = [number for name, number in told if name == one]
        assert numbers == sorted(numbers, reverse=True), "out of order"


def check_same(ours: Sequence[tuple[Name, Version]], theirs: Sequence[tuple[Name, Version]]) -> None:
    """The same versions, in whatever order."""
    expected = {(name, version.number): version for name, version in ours}
    told = {(name, version.number): version for name, version in theirs}
    assert expected.keys() == told.keys(), sorted(expected.keys() ^ told.keys())
    for place, version in expected.items():
        assert version.made_at.replace(microsecond=version.made_at.microsecond // 1000 * 1000) == told[place].made_at
        assert same(version.body, told[place].body), place


def current_at(oracle: Oracle, at: datetime, *, kind: str, resource_id: str) -> tuple[set[Any], set[Any]]:
    """Versions that were current at some time of a millisecond; and those that were so for no time at all."""
    must, may = set(), set()
    for name, versions in oracle.kept.items():
        if kind not in {"", name[0]} or resource_id not in {"", name[1]}:
            continue
        ends = [version.made_at for version in versions[1:]]
        for version, end in zip(versions, [*ends, None], strict=True):
            if end == version.made_at:
                may.add((name, version.number))
            elif version.made_at < at + timedelta(milliseconds=1) and (end is None or end > at):
                must.add((name, version.number))
    return must, may


def _of_mode(page: dict[str, Any], mode: str) -> list[dict[str, Any]]:
    return [entry for entry in page.get("entry", []) if entry["search"]["mode"] == mode]
