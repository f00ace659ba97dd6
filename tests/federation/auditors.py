"""An auditor at a node of a story's network, over its door."""

import json
from pathlib import Path
from typing import Any

import httpx
import msgspec
from tests.api.door import COUNTY, Door
from tests.federation.network import Network
from tests.federation.records import NATIONAL_ID

from health_exchange.audit.answers import LogAnswer, NodeReply
from health_exchange.audit.entries import AuditEntry, decode_entry


class Auditor:
    """Asks through the door of one node."""

    def __init__(self, folder: Path, network: Network, address: str = COUNTY) -> None:
        self.door = Door(folder, address, network)

    async def post(self, body: dict[str, Any], *, who: str = "auditor", **extra: str) -> httpx.Response:
        """One question, as it is answered."""
        return await self.door.send("POST", "/operator/v1/audit/search", body, who=who, **extra)

    async def ask(self, *, who: str = "auditor", **body: Any) -> LogAnswer:  # noqa: ANN401  # JSON of any shape
        """One question, answered."""
        answer = await self.post(body, who=who)
        assert answer.status_code == 200, answer.text
        return decode_answer(answer.content)

    async def about(self, identity: str) -> LogAnswer:
        """Everything anywhere about somebody."""
        return await self.ask(identity={"system": NATIONAL_ID, "value": identity}, everywhere=True)


def decode_answer(raw: bytes) -> LogAnswer:
    return msgspec.json.decode(raw, type=LogAnswer)


def entries_of(reply: NodeReply) -> list[AuditEntry]:
    """A reply's entries, the latest first."""
    return [decode_entry(bytes(proven.entry)) for proven in reply.entries]


def kinds(answer: LogAnswer) -> dict[str, set[str]]:
    """By node, the kinds of entries found."""
    return {reply.node: {entry.kind for entry in entries_of(reply)} for reply in answer.replies}


def refused_with(answer: httpx.Response) -> str:
    """What a refusal says."""
    issue = json.loads(answer.content)["issue"][0]
    return str(issue["diagnostics"])
