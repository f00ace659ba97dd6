"""How the garbage collector is told to leave alone what lives as long as the process."""

import gc

COLLECT_AFTER = (50_000, 20, 50)
"""Collector thresholds by generation."""


def settle_memory() -> None:
    """Keep the collector from walking what lives as long as the process; admission allocates much without cycles."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*COLLECT_AFTER)
