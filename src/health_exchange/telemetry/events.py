"""Events for operators: one JSON line on standard error each, with fields from an allow-list.

What no line can carry cannot leak through one: there is no field for a body, a name, an identifier or a query string.
``detail`` is the detail of an ``ExchangeError``, written to be shown. Whoever collects the lines stamps the time. What
is bound to the work in hand (``trace``) stands in each of its lines.
"""

import json
import re
import sys

import msgspec

from health_exchange.telemetry.trace import FieldValue, bound_fields

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
        "ticket",
        "outcome",
        "status",
        "method",
        "route",
    }
)
"""Every field that a line may carry. ``route`` is a pattern (``/fhir/{type}/{id}``), never a path as asked; ``ticket``
is the name of a look-up, under which logs of all nodes hold it."""

_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")


def log_event(name: str, **fields: FieldValue) -> None:
    """Write one event.

    Raises:
        ValueError: The name is not kebab-case, or a field is not on the list; its value is not quoted.
    """
    # One write a line: processes and threads share the stream, and lines must not run into each other.
    sys.stderr.write(event_line(name, **fields) + "\n")
    sys.stderr.flush()


def event_line(name: str, **fields: FieldValue) -> str:
    """The line that :func:`log_event` writes; raises as it does."""
    if not _NAME.fullmatch(name):
        raise ValueError("an event's name is kebab-case")
    written = {**bound_fields(), **fields}
    if not written.keys() <= FIELDS:
        unknown = sorted(written.keys() - FIELDS)
        raise ValueError(f"no line may carry the fields {', '.join(unknown)}")
    line = {"event": name, **written}
    try:
        return msgspec.json.encode(line).decode()
    except UnicodeEncodeError:
        # Half a character, which no UTF-8 has: told all the same, and several times as slowly.
        return json.dumps(line, ensure_ascii=False, separators=(",", ":"))
