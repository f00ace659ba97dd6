"""How many evaluations a node may ask of one key holder.

The network grants a node so many pseudonyms a day. Each takes t of n holders, so an honest node that spreads its
requests asks each holder for ``target * t / n``; the quota allows for an uneven spread by rounding up only.
"""


def holder_quota(target: int, *, threshold: int, holders: int) -> int:
    """Evaluations one holder grants one node a day, from ``target`` pseudonyms the network grants it."""
    return -(-target * threshold // holders)
