"""How many evaluations a node may ask for, and when the count of them is a reason to look.

The network grants a node so many pseudonyms a day. Each takes t of n holders, so an honest node that spreads its
requests asks each holder for ``target * t / n``; the quota allows for an uneven spread by rounding up only.
"""

from dataclasses import dataclass


def holder_quota(target: int, *, threshold: int, holders: int) -> int:
    """Evaluations one holder grants one node a day, from ``target`` pseudonyms the network grants it."""
    return -(-target * threshold // holders)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reconciliation:
    """One node's day: what it asked of key holders, and what came of it.

    Attributes:
        evaluations: Pseudonyms it had made.
        new_subjects: Subjects it delivered for the first time.
        lookups: Look-ups it was answered.
    """

    evaluations: int
    new_subjects: int
    lookups: int


def is_suspicious(day: Reconciliation, *, tolerance: int = 20, ratio: float = 1.1) -> bool:
    """Whether a node had notably more pseudonyms made than it can account for.

    Args:
        day: Its counts.
        tolerance: Unexplained evaluations that are never suspicious (retries, people who did not stay).
        ratio: How many evaluations one explained one may take.
    """
    return day.evaluations > ratio * (day.new_subjects + day.lookups) + tolerance
