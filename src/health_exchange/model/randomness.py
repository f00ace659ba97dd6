"""Randomness as an argument: the system's in a running node, seeded in stories and tests."""

from collections.abc import Callable
from typing import TypeAlias

Randomness: TypeAlias = Callable[[int], bytes]
"""Takes a count, gives that many unpredictable bytes; ``os.urandom`` in a running node."""
