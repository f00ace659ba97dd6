"""How long a question to a subtree may take: each level gives the one below less than it has itself.

So a node that is silent is named by its parent, in time for the one above; with one time for all, every node on the way
up would give up at the same moment, and a whole branch would look silent for one county.
"""

PARAMETER = "within-ms"
LONGEST_S = 4.0
PER_LEVEL_S = 0.7


def asking(path: str, within_s: float) -> str:
    """``path`` as a node below is asked it, with how long that one may take."""
    return f"{path}?{PARAMETER}={round(1000 * max(within_s - PER_LEVEL_S, PER_LEVEL_S))}"


def granted_s(given_ms: int) -> float:
    """How long to take, by what was asked; the longest where nothing was said, and never longer."""
    return min(given_ms / 1000 or LONGEST_S, LONGEST_S)
