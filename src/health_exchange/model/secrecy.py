"""Secrets that do not show themselves."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, repr=False)
class Secret:
    """Key material or another value that must not reach a log, a message or a traceback.

    Attributes:
        raw: The bytes themselves; read them only where they are used.
    """

    raw: bytes

    def __repr__(self) -> str:
        return f"Secret({len(self.raw)} bytes)"
