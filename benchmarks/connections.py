"""HTTP clients that take next to no processor time themselves: they share two cores with what they measure."""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from statistics import median, quantiles
from typing import cast

OK = range(200, 300)


class _Connection(asyncio.Protocol):
    """One connection kept alive, with one request on its way at a time; answers have a Content-Length."""

    def __init__(self) -> None:
        self._received = bytearray()
        self._answer: asyncio.Future[tuple[int, bytes]] | None = None
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(exc or ConnectionError("the node hung up"))

    def data_received(self, data: bytes) -> None:
        self._received += data
        end = self._received.find(b"\r\n\r\n")
        if end < 0:
            return
        head = bytes(self._received[:end]).lower()
        said = head.partition(b"content-length:")[2].partition(b"\r\n")[0]
        length = int(said) if said else 0
        if len(self._received) >= end + 4 + length and self._answer is not None:
            body = bytes(self._received[end + 4 : end + 4 + length])
            self._received.clear()
            self._answer.set_result((int(head[9:12]), body))

    async def ask(self, request: bytes) -> tuple[int, bytes]:
        """Status and body of the answer."""
        assert self._transport is not None
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return await self._answer

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()


@dataclass(slots=True)
class Taken:
    """What a load took.

    Attributes:
        seconds: From the first request to the last answer.
        latencies: Of each request, in seconds.
        failures: Statuses of answers that were no success, with the first of such answers.
    """

    seconds: float = 0.0
    latencies: list[float] = field(default_factory=list)
    failures: dict[int, bytes] = field(default_factory=dict)

    @property
    def per_s(self) -> float:
        """Requests answered a second."""
        return len(self.latencies) / self.seconds

    @property
    def p50_ms(self) -> float:
        """Half waited no longer."""
        return 1e3 * median(self.latencies)

    @property
    def p99_ms(self) -> float:
        """Of a hundred, one waited longer."""
        return 1e3 * quantiles(self.latencies, n=100)[98]


def request(method: str, path: str, host: str, token: Callable[[], str], body: bytes = b"") -> Callable[[], bytes]:
    """Makes one request's bytes, with the token as it is then."""
    head = f"{method} {path} HTTP/1.1\r\nHost: {host}\r\nAccept: application/fhir+json\r\n"
    if body:
        head += f"Content-Type: application/fhir+json\r\nContent-Length: {len(body)}\r\n"
    start = head.encode()
    return lambda: start + f"Authorization: Bearer {token()}\r\n\r\n".encode() + body


async def send_all(
    host: str, port: int, requests: Sequence[Callable[[], bytes]], *, clients: int, for_s: float | None = None
) -> Taken:
    """Send requests from several clients, each the next as soon as its last was answered.

    Args:
        host: Of the node.
        port: Of its FHIR door.
        requests: What to ask, in this order.
        clients: How many ask at a time.
        for_s: Begin again at the first until this is over; ``None`` for each once.
    """
    loop, taken, turn = asyncio.get_running_loop(), Taken(), iter(range(1 << 60))
    connections = [(await loop.create_connection(_Connection, host, port))[1] for _ in range(clients)]
    began = time.perf_counter()

    async def client(connection: _Connection) -> None:
        for number in turn:
            asked_at = time.perf_counter()
            over = number >= len(requests) if for_s is None else asked_at - began > for_s
            if over:
                return
            status, body = await connection.ask(requests[number % len(requests)]())
            taken.latencies.append(time.perf_counter() - asked_at)
            if status not in OK:
                taken.failures.setdefault(status, body)

    await asyncio.gather(*map(client, connections))
    taken.seconds = time.perf_counter() - began
    for connection in connections:
        connection.close()
    return taken
