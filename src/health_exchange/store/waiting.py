"""Those who wait for what a thread of the store does: in a thread of their own, or in an event loop.

A loop is woken once for all who wait in it: each time costs a system call and the interpreter's lock.
"""

from asyncio import AbstractEventLoop
from asyncio import Future as LoopFuture
from collections.abc import Iterable
from concurrent.futures import Future
from contextlib import suppress
from copy import copy
from typing import Any, Generic, NamedTuple, TypeVar

from health_exchange.model.errors import ExchangeError

T = TypeVar("T")


class Waiting(Generic[T]):
    """One who waits.

    Args:
        loop: Where; ``None`` for a thread that is blocked meanwhile.
    """

    __slots__ = ("future", "loop")

    def __init__(self, loop: AbstractEventLoop | None) -> None:
        self.loop = loop
        self.future: Any = Future() if loop is None else LoopFuture(loop=loop)

    @property
    def has_left(self) -> bool:
        """Whether nobody wants to know any more."""
        return bool(self.future.done())


class Outcome(NamedTuple):
    """What is to be told: a value, or what went wrong."""

    waiting: Waiting[Any]
    value: Any = None
    problem: BaseException | None = None


def tell(outcomes: Iterable[Outcome]) -> None:
    """Tell everyone."""
    by_loop: dict[AbstractEventLoop, list[Outcome]] = {}
    for outcome in outcomes:
        loop = outcome.waiting.loop
        if loop is None:
            settle([outcome])
        else:
            by_loop.setdefault(loop, []).append(outcome)
    for loop, each in by_loop.items():
        # A loop that is closed has nobody left in it.
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(settle, each)


def settle(outcomes: Iterable[Outcome]) -> None:
    """Tell everyone, where they wait."""
    for waiting, value, problem in outcomes:
        if waiting.future.done():
            continue
        if problem is None:
            waiting.future.set_result(value)
        elif isinstance(problem, StopIteration):
            # No future takes one.
            waiting.future.set_exception(RuntimeError("a function of the store ended as an iterator does"))
        else:
            # A copy for each: who is told may say where in a request it happened, which is nobody else's.
            waiting.future.set_exception(copy(problem) if isinstance(problem, ExchangeError) else problem)
