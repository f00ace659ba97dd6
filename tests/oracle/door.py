"""The door of a node that stands alone, in process, its clock moved by tests; its answers as the oracle tells them."""

import json
from base64 import b64encode
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest
from tests.oracle.server import Ask, Name, Oracle, Outcome, Pairs, Told, Version, instant
from tests.processes.alone import free_port

from health_exchange.cli.client import RegisteredClient
from health_exchange.wiring import assembly
from health_exchange.wiring.assembly import AssembledNode, assemble
from health_exchange.wiring.standalone import CLIENT, CLIENT_KEY, Wish, starting

FHIR = "application/fhir+json"
JSON_PATCH = "application/json-patch+json"


class MovedClock:
    """Stands still until a test moves it."""

    def __init__(self) -> None:
        self.at = datetime.now(UTC).replace(microsecond=0)

    def now(self) -> datetime:
        """The instant it was moved to."""
        return self.at

    def advance(self, milliseconds: int) -> None:
        """Move it."""
        self.at += timedelta(milliseconds=milliseconds)


@dataclass(slots=True, kw_only=True)
class Door:
    """One node and whoever is at its door.

    Attributes:
        assembled: The node.
        http: Its door, for anyone.
        client: Who was registered at the first start.
        clock: The node's.
        base: What the door is called.
    """

    assembled: AssembledNode
    http: httpx.AsyncClient
    client: RegisteredClient
    clock: MovedClock
    base: str

    async def send(
        self, method: str, path: str, body: object = None, headers: Mapping[str, str] | None = None
    ) -> httpx.Response:
        """One request of a guest."""
        content = None if body is None else json.dumps(body).encode()
        said = {"Content-Type": FHIR} | dict(headers or {})
        return await self.http.request(method, path, content=content, headers=said)

    async def write(self, ask: Ask, *, minimal: bool = False) -> httpx.Response:
        """One write alone."""
        headers: dict[str, str] = {"Prefer": "return=minimal"} if minimal else {}
        path = f"/fhir/{ask.type}" + (f"/{ask.id}" if ask.id else "")
        if ask.condition and ask.method == "POST":
            headers["If-None-Exist"] = urlencode(ask.condition)
        elif ask.condition:
            path += f"?{urlencode(ask.condition)}"
        if ask.if_match is not None:
            headers["If-Match"] = f'W/"{ask.if_match}"'
        if ask.is_new:
            headers["If-None-Match"] = "*"
        if ask.method == "PATCH":
            headers["Content-Type"] = JSON_PATCH
        return await self.send(ask.method, path, ask.body, headers)

    async def bundle(self, kind: str, asks: Iterable[Ask], *, minimal: bool = True) -> httpx.Response:
        """Writes together."""
        body = {"resourceType": "Bundle", "type": kind, "entry": [_entry(ask) for ask in asks]}
        return await self.send("POST", "/fhir", body, {} if minimal else {"Prefer": "return=representation"})

    async def pages(self, path: str) -> list[dict[str, Any]]:
        """All pages, one behind the other."""
        found, url = [], path
        while url:
            answer = await self.http.get(url)
            assert answer.status_code == 200, answer.text
            found.append(answer.json())
            url = next_of(found[-1])
        return found


@asynccontextmanager
async def opened(folder: Path, database: str) -> AsyncIterator[Door]:
    """A node in a new folder, open to anyone, its clock the test's."""
    clock = MovedClock()
    with (
        pytest.MonkeyPatch.context() as patch,
        starting(Wish(folder=folder, port=free_port(), database=database, is_open=True)) as start,
    ):
        patch.setattr(assembly, "SystemClock", lambda: clock)
        assembled = assemble(start.settings)
        transport = httpx.ASGITransport(app=assembled.fhir_app, raise_app_exceptions=False)
        try:
            async with httpx.AsyncClient(transport=transport, base_url=start.url) as http:
                key = (folder / CLIENT_KEY).read_bytes()
                client = RegisteredClient(client_id=CLIENT, private_key_pem=key, base_url=start.url, http=http)
                yield Door(assembled=assembled, http=http, client=client, clock=clock, base=f"{start.url}/fhir")
        finally:
            await assembled.close()


def next_of(bundle: Mapping[str, Any]) -> str:
    """The link to the next page; empty at the end."""
    return next((str(link["url"]) for link in bundle["link"] if link["relation"] == "next"), "")


def _entry(ask: Ask) -> dict[str, Any]:
    """A write as an entry of a Bundle."""
    url = ask.type + (f"/{ask.id}" if ask.id else "")
    request: dict[str, Any] = {"method": ask.method, "url": url}
    if ask.condition and ask.method == "POST":
        request["ifNoneExist"] = urlencode(ask.condition)
    elif ask.condition:
        request["url"] += f"?{urlencode(ask.condition)}"
    if ask.if_match is not None:
        request["ifMatch"] = f'W/"{ask.if_match}"'
    if ask.is_new:
        request["ifNoneMatch"] = "*"
    entry: dict[str, Any] = {"request": request}
    if ask.method == "PATCH":
        operations = b64encode(json.dumps(ask.body).encode()).decode()
        entry["resource"] = {"resourceType": "Binary", "contentType": JSON_PATCH, "data": operations}
    elif ask.body is not None:
        entry["resource"] = ask.body
    return entry | ({"fullUrl": ask.urn} if ask.urn else {})


def told_alone(answer: httpx.Response, base: str) -> Told:
    """What an answer to one write says."""
    place = answer.headers.get("Location", "").removeprefix(f"{base}/")
    body = answer.json() if answer.content else None
    if answer.is_success and body is not None:
        at = instant(body["meta"]["lastUpdated"]).replace(microsecond=0)
        assert answer.headers["Last-Modified"] == format_datetime(at, usegmt=True)
    return _told(answer.status_code, place, answer.headers.get("ETag", ""), body)


def told_in(entry: Mapping[str, Any]) -> Told:
    """What an entry of a response says."""
    response, body = entry["response"], entry.get("resource")
    if body is not None:
        assert response["lastModified"] == body["meta"]["lastUpdated"]
    return _told(int(response["status"][:3]), response.get("location", ""), response.get("etag", ""), body)


def _told(status: int, place: str, tag: str, body: dict[str, Any] | None) -> Told:
    version = int(tag.removeprefix('W/"').removesuffix('"') or 0)
    if status >= 400:
        return Told(status=status)
    if status == 204 or not place:
        return Told(status=status, version=version)
    kind, resource_id, history, number = place.split("/")
    assert (history, number) == ("_history", str(version))
    return Told(status=status, name=(kind, resource_id), version=version, body=body)


def carries_out(oracle: Oracle, asks: Sequence[Ask], at: datetime, seen: Sequence[Told]) -> bool:
    """Whether the oracle comes to what was seen of writes that stand together, and to nothing else."""
    return not differences(oracle.carry_out(asks, at, made_up(asks, seen)), seen)


def made_up(asks: Sequence[Ask], seen: Sequence[Told]) -> list[str]:
    """The ids that a node has made up, as far as it has told them."""
    told = [each.name[1] if each.name else "-" for each in seen]
    return told if len(told) == len(asks) else ["-"] * len(asks)


def differences(outcome: Outcome, seen: Sequence[Told]) -> list[object]:
    """What was seen that is not what the oracle has come to."""
    if isinstance(outcome, frozenset):
        return [] if len(seen) == 1 and seen[0].status in outcome else [sorted(outcome), *seen]
    if len(outcome) != len(seen):
        return [*outcome, *seen]
    return [(ours, theirs) for ours, theirs in zip(outcome, seen, strict=True) if _without_body(ours, theirs) != theirs]


def _without_body(ours: Told, theirs: Told) -> Told:
    """What the oracle tells, without what the client did not want back."""
    return ours if theirs.body is not None else Told(status=ours.status, name=ours.name, version=ours.version)


def search_url(resource_type: str, pairs: Pairs) -> str:
    """Where a search is asked."""
    return f"/fhir/{resource_type}?{urlencode(list(pairs))}"


def named(entry: Mapping[str, Any]) -> Name:
    """Whose entry of a Bundle it is."""
    kind, resource_id = str(entry["fullUrl"]).split("/")[-2:]
    return kind, resource_id


def version_in(entry: Mapping[str, Any]) -> tuple[Name, Version]:
    """The version that an entry of a history tells."""
    response, body = entry["response"], entry.get("resource")
    method = entry["request"]["method"]
    assert (method == "DELETE") == (body is None)
    number = int(response["etag"].removeprefix('W/"').removesuffix('"'))
    if body is not None:
        assert body["meta"]["versionId"] == str(number)
        assert body["meta"]["lastUpdated"] == response["lastModified"]
    return named(entry), Version(number=number, made_at=instant(response["lastModified"]), body=body)
