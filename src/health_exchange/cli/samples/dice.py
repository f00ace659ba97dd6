"""Chance that falls the same way on every machine and Python version.

``random.Random`` promises that for some methods only. Here each draw is a SHA-256 of the seed, the name of the stream
and a counter; a stream named after its person stays the same when other people are added.
"""

import hashlib
from collections.abc import Sequence
from decimal import Decimal
from typing import TypeVar

T = TypeVar("T")


class Dice:
    """A named stream of draws."""

    def __init__(self, *names: object) -> None:
        self._name = "/".join(str(name) for name in names).encode()
        self._drawn = 0

    def below(self, bound: int) -> int:
        """A whole number from 0 to ``bound`` - 1."""
        self._drawn += 1
        digest = hashlib.sha256(self._name + b"#%d" % self._drawn).digest()
        return int.from_bytes(digest[:8], "big") % bound

    def between(self, low: int, high: int) -> int:
        """A whole number from ``low`` to ``high``, both included."""
        return low + self.below(high - low + 1)

    def pick(self, choices: Sequence[T]) -> T:
        """One of ``choices``."""
        return choices[self.below(len(choices))]

    def decimal(self, low: str, high: str) -> Decimal:
        """A decimal from ``low`` to ``high``, written with as many places as ``low``; ``1.50`` stays ``1.50``."""
        exponent = Decimal(low).as_tuple().exponent
        places = -int(exponent)
        steps = int((Decimal(high) - Decimal(low)).scaleb(places))
        return Decimal(low) + Decimal(self.below(steps + 1)).scaleb(-places)

    def digits(self, count: int) -> str:
        """``count`` decimal digits."""
        return "".join(str(self.below(10)) for _ in range(count))
