"""AuditEvents at the FHIR door, for auditors: this node's log, searched and read as IHE BALP events.

Policy decides (action ``read-log``), the reading is an entry before the answer leaves, and every entry shown has been
checked against the log's own checkpoint, as in the auditors' other door.

Source: FHIR R4, AuditEvent; IHE ITI-81.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from health_exchange.api.bodies import FHIR_JSON, FORM_BYTES_MAX, parse_form, read_body
from health_exchange.api.event_search import BEFORE, EventSearch, read_event_search
from health_exchange.api.fhir_door import FhirDoor
from health_exchange.api.wishes import Wishes
from health_exchange.audit.answers import NodeReply
from health_exchange.audit.balp import audit_event, event_ids, pattern_of
from health_exchange.audit.entries import AuditEntry, decode_entry
from health_exchange.audit.excerpts import ProvenEntry
from health_exchange.audit.questions import LogQuestion
from health_exchange.fhir.splicing import JsonBytes, join_array, join_object, quote
from health_exchange.model.errors import NotFoundError, UnavailableError
from health_exchange.node.callers import Caller
from health_exchange.node.oversight import Oversight
from health_exchange.search.query import refuse_parameters

Endpoint = Callable[[Request, Caller], Awaitable[Response]]
EVENTS_MAX = 500
"""A page ends at the entry that reaches so many events: one envelope may be about hundreds of persons."""
ABSENT = "the log has no such entry, or its retention has ended"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Event:
    """One event to be: an entry, its place, and which of its persons it is about."""

    entry: AuditEntry
    position: int
    number: int
    id: str

    def body(self, door: FhirDoor) -> bytes:
        """As FHIR JSON."""
        card = door.parts.card
        return audit_event(self.entry, self.position, self.number, name=card.name, url=f"{card.fhir_url}/fhir")


@dataclass(frozen=True, slots=True, kw_only=True)
class EventDoor:
    """``AuditEvent`` at one node.

    Attributes:
        door: Authenticates, and turns failures into outcomes.
        oversight: Asks the log.
    """

    door: FhirDoor
    oversight: Oversight

    def routes(self) -> list[Route]:
        """What the server mounts, before the general routes of the FHIR door."""
        paths: list[tuple[str, str, Endpoint]] = [
            # Its wishes are in its form too.
            ("/fhir/AuditEvent/_search", "POST", self._search_by_post),
            ("/fhir/AuditEvent", "GET", self.door.wishful(self._search)),
            ("/fhir/AuditEvent/{id}", "GET", self.door.wishful(self._read)),
        ]
        return [Route(path, self.door.guarded(endpoint), methods=[method]) for path, method, endpoint in paths]

    async def _search(self, request: Request, caller: Caller) -> Response:
        return await self._found(Wishes.of(request).pairs, caller)

    async def _search_by_post(self, request: Request, caller: Caller) -> Response:
        form = parse_form(await read_body(request, FORM_BYTES_MAX))
        wishes = Wishes.of(request, form)
        return await wishes.granted(request, await self._found(wishes.pairs, caller), self.door.parts.workers)

    async def _found(self, pairs: Sequence[tuple[str, str]], caller: Caller) -> Response:
        """One page of events."""
        search = read_event_search(pairs)
        reply = await self._ask(search.question, caller, before=search.before, count=search.count)
        return Response(await asyncio.to_thread(self._page, search, reply), media_type=FHIR_JSON)

    def _page(self, search: EventSearch, reply: NodeReply) -> bytes:
        """The page's Bundle: it ends early, at an entry, where entries about many persons fill it."""
        events: list[_Event] = []
        before = reply.before
        for number, proven in enumerate(reply.entries, start=1):
            events += [event for event in _events_of(proven) if self._is_wanted(event, search)]
            if len(events) >= EVENTS_MAX and number < len(reply.entries):
                before = proven.position
                break
        return self._searchset(search, before, events)

    async def _read(self, request: Request, caller: Caller) -> Response:
        refuse_parameters(Wishes.of(request).pairs, "a read")
        event_id = request.path_params["id"]
        position = event_id.partition(".")[0]
        if not (position.isascii() and position.isdecimal() and len(position) <= len(str(2**50))):
            raise NotFoundError(ABSENT)
        reply = await self._ask(LogQuestion(position=int(position)), caller, before=None, count=1)
        for event in (event for proven in reply.entries for event in _events_of(proven)):
            if event.id == event_id:
                return Response(event.body(self.door), media_type=FHIR_JSON)
        raise NotFoundError(ABSENT)

    async def _ask(self, question: LogQuestion, caller: Caller, *, before: int | None, count: int) -> NodeReply:
        """This node's own reply."""
        here = [self.door.parts.address]
        answer = await self.oversight.ask(caller, question, nodes=here, before=before, count=count)
        reply = answer.replies[0]
        if reply.detail and not reply.entries and reply.before is None:
            raise UnavailableError(f"the log cannot be read now: {reply.detail}", retry_after_s=5)
        return reply

    def _is_wanted(self, event: _Event, search: EventSearch) -> bool:
        """Whether an event is what was searched for: of several persons of an entry, only the one asked about."""
        person = search.question.person
        if person and event.entry.subjects[event.number] != person:
            return False
        return search.wants(pattern_of(event.entry), event.entry.kind)

    def _searchset(self, search: EventSearch, before: int | None, events: Sequence[_Event]) -> bytes:
        """The Bundle, with a link to the next page where there is one; a log is too long to count what matches."""
        base = f"{self.door.parts.card.fhir_url}/fhir/AuditEvent"
        links = {"self": f"{base}?{urlencode(search.pairs)}" if search.pairs else base}
        if before is not None:
            links["next"] = f"{base}?{urlencode([*search.pairs, (BEFORE, str(before))])}"
        members: dict[str, JsonBytes] = {"resourceType": b'"Bundle"', "type": b'"searchset"'}
        members["link"] = join_array(
            join_object({"relation": quote(relation), "url": quote(url)}) for relation, url in links.items()
        )
        if events:
            members["entry"] = join_array(
                join_object(
                    {
                        "fullUrl": quote(f"{base}/{event.id}"),
                        "resource": event.body(self.door),
                        "search": b'{"mode":"match"}',
                    }
                )
                for event in events
            )
        return join_object(members)


def _events_of(proven: ProvenEntry) -> Iterable[_Event]:
    """Every event that an entry becomes."""
    entry = decode_entry(bytes(proven.entry))
    for number, event_id in enumerate(event_ids(entry, proven.position)):
        yield _Event(entry=entry, position=proven.position, number=number, id=event_id)
