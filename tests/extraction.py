"""What a resource can be found by, read at once: as admission does it in two steps, for tests that look at one."""

from collections.abc import Mapping
from typing import Any

from health_exchange.fhir.parameters import SearchValue, offered_for, settle, written_values


def extract(decoded: Mapping[str, Any]) -> list[SearchValue]:
    """All values by which a validated resource can be found, in the order of the table, without repetition."""
    values = written_values(decoded, offered_for(str(decoded.get("resourceType"))))
    return list(dict.fromkeys(settle(values)))
