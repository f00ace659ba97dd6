"""Asking key holders: t at a time, suspects last, until enough have answered truthfully.

A holder that lies or stays away is named and another is asked in its place.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from health_exchange.model.directory import HolderCard
from health_exchange.model.errors import ExchangeError
from health_exchange.node.parts import NodeParts
from health_exchange.pseudonym.threshold import (
    EvaluationRequest,
    EvaluationResponse,
    LyingShareError,
    check_response,
)

T = TypeVar("T")


class Question(Generic[T]):
    """What every holder is asked alike.

    Attributes:
        request: The evaluation, which each answer is checked against.
        path: Of the exchange operation.
        body: As it travels.
        read: The evaluation in an answer and what came with it; raises ``ExchangeError`` for any other bytes.
        timeout_s: How long one holder may take.
    """

    def __init__(
        self,
        *,
        request: EvaluationRequest,
        path: str,
        body: bytes,
        read: Callable[[bytes, HolderCard], tuple[EvaluationResponse, T]],
        timeout_s: float,
    ) -> None:
        self.request, self.path, self.body, self.read, self.timeout_s = request, path, body, read, timeout_s


class Holders:
    """The key holders as one node sees them.

    Attributes:
        suspects: Holders whose last answer did not verify, by index, with what was wrong; for operators.
    """

    def __init__(self, parts: NodeParts) -> None:
        self._parts = parts
        self.suspects: dict[int, str] = {}

    async def ask(self, question: Question[T]) -> dict[int, tuple[EvaluationResponse, T]]:
        """Truthful answers by holder index: t of them, or fewer where no more are to be had."""
        key = self._parts.directory.key
        untried = self._in_turn(key.holders)
        answers: dict[int, tuple[EvaluationResponse, T]] = {}
        while len(answers) < key.threshold and untried:
            wanted = key.threshold - len(answers)
            asked, untried = untried[:wanted], untried[wanted:]
            found = await asyncio.gather(*(self._ask_one(holder, question) for holder in asked))
            answers.update({answer[0].index: answer for answer in found if answer is not None})
        return answers

    def _in_turn(self, holders: Sequence[HolderCard]) -> list[HolderCard]:
        """Each time another one first, so that quotas and work are spread evenly; suspects last."""
        turn = self._parts.randomness(1)[0]
        return sorted(holders, key=lambda holder: (holder.index in self.suspects, (holder.index + turn) % len(holders)))

    async def _ask_one(self, holder: HolderCard, question: Question[T]) -> tuple[EvaluationResponse, T] | None:
        """One holder's verified share of the answer, or ``None`` where it is away, refuses or lies."""
        try:
            answer = await self._parts.transport.send(
                holder.address, "POST", question.path, question.body, timeout_s=question.timeout_s
            )
            if not answer.is_ok:
                return None
            response, beside = question.read(answer.body, holder)
            await asyncio.to_thread(check_response, question.request, response, holder)
        except LyingShareError as lie:
            self.suspects[holder.index] = lie.detail
            return None
        except ExchangeError:
            return None
        self.suspects.pop(holder.index, None)
        return response, beside
