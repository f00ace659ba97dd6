"""Asking key holders: t at a time, suspects last, until enough have answered truthfully.

A holder that lies or stays away is named and another is asked in its place.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from health_exchange.model.directory import HolderCard, KeyCard
from health_exchange.model.errors import ExchangeError
from health_exchange.node.parts import NodeParts
from health_exchange.pseudonym.threshold import (
    EvaluationRequest,
    EvaluationResponse,
    LyingShareError,
    check_response,
)

T = TypeVar("T")


Asked = Callable[[HolderCard], Awaitable[tuple[EvaluationResponse, T]]]
"""Asks one holder: its evaluation, not yet checked, and what came with it. Raises ``ExchangeError`` for no answer."""


class Holders:
    """The key holders as one node sees them.

    Attributes:
        suspects: Holders whose last answer did not verify, by index, with what was wrong; for operators.
    """

    def __init__(self, parts: NodeParts) -> None:
        self._parts = parts
        self.suspects: dict[int, str] = {}

    async def ask(
        self, key: KeyCard, request: EvaluationRequest, one: Asked[T]
    ) -> dict[int, tuple[EvaluationResponse, T]]:
        """Truthful answers by holder index: t of them, or fewer where no more are to be had.

        Args:
            key: The card that the request was made by.
            request: What the answers are checked against.
            one: Asks one holder.
        """
        untried = self._in_turn(key.holders)
        answers: dict[int, tuple[EvaluationResponse, T]] = {}
        while len(answers) < key.threshold and untried:
            wanted = key.threshold - len(answers)
            asked, untried = untried[:wanted], untried[wanted:]
            found = await asyncio.gather(*(self._checked(holder, request, one) for holder in asked))
            answers.update({answer[0].index: answer for answer in found if answer is not None})
        return answers

    def _in_turn(self, holders: Sequence[HolderCard]) -> list[HolderCard]:
        """Each time another one first, so that quotas and work are spread evenly; suspects last."""
        turn = self._parts.randomness(1)[0]
        return sorted(holders, key=lambda holder: (holder.index in self.suspects, (holder.index + turn) % len(holders)))

    async def _checked(
        self, holder: HolderCard, request: EvaluationRequest, one: Asked[T]
    ) -> tuple[EvaluationResponse, T] | None:
        """One holder's verified share of the answer, or ``None`` where it is away, refuses or lies."""
        try:
            response, beside = await one(holder)
            await asyncio.to_thread(check_response, request, response, holder)
        except LyingShareError as lie:
            self.suspects[holder.index] = lie.detail
            return None
        except ExchangeError:
            return None
        self.suspects.pop(holder.index, None)
        return response, beside
