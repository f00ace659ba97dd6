"""A county's FHIR door over HTTP, in process: real routes, real node, real database, a manual clock."""

import json
import random
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import jwt
from sqlalchemy import func, select
from tests.federation.network import Network

from health_exchange.model.purposes import Purpose
from health_exchange.store.engine import Transaction
from health_exchange.store.schema import feed, history, resources, subjects, tokens
from health_exchange.wiring.assembly import fhir_app
from health_exchange.wiring.registration import Registration, register

COUNTY = "cn/33/3305/330521"
FHIR = "application/fhir+json"
ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

_KINDS = (
    ("hospital", "facility", Purpose.TREATMENT),
    ("viewer", "viewer", Purpose.TREATMENT),
    ("dr-wang", "clinician", Purpose.TREATMENT),
    ("auditor", "auditor", Purpose.AUDIT),
    ("researcher", "researcher", Purpose.RESEARCH),
    ("desk", "desk", Purpose.PATIENT_REQUEST),
    ("operator", "operator", Purpose.PATIENT_REQUEST),
)


class Door:
    """One node's door and its clients."""

    def __init__(self, folder: Path, address: str = COUNTY, network: Network | None = None) -> None:
        self.network = network or Network(folder)
        self.node = self.network[address]
        dice = random.Random(5)
        self.registrations: dict[str, Registration] = {
            client_id: register(
                client_id=client_id,
                kind=kind,
                organization="121000001000791901",
                name=client_id,
                purpose=purpose,
                randomness=dice.randbytes,
            )
            for client_id, kind, purpose in _KINDS
        }
        clients = {name: each.client for name, each in self.registrations.items()}
        self.base = self.node.parts.card.fhir_url
        transport = httpx.ASGITransport(app=fhir_app(self.node, clients), raise_app_exceptions=False)
        self.http = httpx.AsyncClient(transport=transport, base_url=self.base)
        self._assertions = 0

    def assertion(self, client_id: str = "hospital", /, **changes: object) -> str:
        """A client's proof of itself, with claims changed as a test wants."""
        self._assertions += 1
        now = int(self.network.clock.now().timestamp())
        claims: dict[str, object] = {
            "iss": client_id,
            "sub": client_id,
            "aud": f"{self.base}/oauth/token",
            "jti": f"assertion-{self._assertions}",
            "exp": now + 240,
        }
        claims |= changes
        claims = {name: value for name, value in claims.items() if value is not None}
        key = self.registrations[client_id].private_key_pem
        return jwt.encode(claims, key, algorithm="EdDSA", headers={"kid": client_id})

    async def ask_token(self, assertion: str) -> httpx.Response:
        """The token endpoint's answer."""
        return await self.http.post(
            "/oauth/token",
            data={
                "grant_type": "client_credentials",
                "client_assertion_type": ASSERTION_TYPE,
                "client_assertion": assertion,
            },
        )

    async def headers(self, client_id: str = "hospital") -> dict[str, str]:
        """Headers of an authenticated request."""
        answer = await self.ask_token(self.assertion(client_id))
        return {"Authorization": f"Bearer {answer.json()['access_token']}", "Content-Type": FHIR}

    async def send(
        self, method: str, path: str, body: bytes | dict[str, Any] | None = None, *, who: str = "hospital", **extra: str
    ) -> httpx.Response:
        """One authenticated request; keyword arguments are further headers, ``_`` for ``-``."""
        content = json.dumps(body).encode() if isinstance(body, dict) else body
        headers = await self.headers(who) | {name.replace("_", "-"): value for name, value in extra.items()}
        return await self.http.request(method, path, content=content, headers=headers)

    def rows(self) -> dict[str, int]:
        """How many rows each table that holds records has."""
        return self.node.parts.store.read_now(_rows)

    def advance(self, **kwargs: float) -> None:
        """Move the clock."""
        self.network.clock.at += timedelta(**kwargs)


def _rows(tx: Transaction) -> dict[str, int]:
    return {
        table.name: tx.execute(select(func.count()).select_from(table)).scalar_one()
        for table in (resources, history, subjects, tokens, feed)
    }


def issue_of(answer: httpx.Response) -> dict[str, Any]:
    """The first issue of an OperationOutcome."""
    outcome = answer.json()
    assert outcome["resourceType"] == "OperationOutcome", outcome
    issue: dict[str, Any] = outcome["issue"][0]
    return issue
