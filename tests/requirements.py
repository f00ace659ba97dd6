"""What a test needs of the machine: where it is missing the test is skipped, unless this run must have everything."""

import os
from typing import NoReturn

import pytest

REQUIRED = "HEALTH_EXCHANGE_TESTS_REQUIRE"
"""Environment: ``postgresql,docker`` are the things whose absence is a failure; ``make test`` sets it."""


def missing(what: str, reason: str) -> NoReturn:
    """Skip the test, or fail it where ``what`` is required."""
    if what in os.environ.get(REQUIRED, "").split(","):
        pytest.fail(f"{reason} (required by {REQUIRED})", pytrace=False)
    pytest.skip(reason)
