"""Events for operators: one JSON line on standard error each, with fields from an allow-list.

What no line can carry cannot leak through one: there is no field for a body, a name, an identifier or a query string.
``detail`` is the detail of an ``ExchangeError``, written to be shown. Whoever collects the lines stamps the time.
"""

import json
import re
import sys
from typing import TypeAlias

FIELDS = frozenset(
    {
        "node",
        "tier",
        "turn",
        "code",
        "detail",
        "peer",
        "stream",
        "sequence",
        "count",
        "elapsed_ms",
        "request_id",
        "status",
        "method",
        "route",
    }
)
"""Every field that a line may carry. ``route`` is a pattern (``/fhir/{type}/{id}``), never a path as asked."""

_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")

FieldValue: TypeAlias = str | int | float | bool | None


def log_event(name: str, **fields: FieldValue) -> None:
    """Write one event.

    Raises:
        ValueError: The name is not kebab-case, or a field is not on the list; its value is not quoted.
    """
    print(event_line(name, **fields), file=sys.stderr, flush=True)  # noqa: T201  # the one place that writes the log


def event_line(name: str, **fields: FieldValue) -> str:
    """The line that :func:`log_event` writes; raises as it does."""
    if not _NAME.fullmatch(name):
        raise ValueError("an event's name is kebab-case")
    unknown = sorted(fields.keys() - FIELDS)
    if unknown:
        raise ValueError(f"no line may carry the fields {', '.join(unknown)}")
    return json.dumps({"event": name, **fields}, ensure_ascii=False, separators=(",", ":"))
