"""A release has one schema and one generation of dictionaries: what changes either is another release by its number."""

from health_exchange.store import migrations
from health_exchange.store.bodies import GENERATION

RELEASES = {"0.1.0": ("0011", 1), "0.2.0": ("0013", 2), "0.3.0": ("0014", 2), "0.4.0": ("0015", 2)}
"""Schema and dictionaries of each; the last row is this release's, and no row ever changes."""


def test_this_release_has_the_schema_and_the_dictionaries_that_its_number_stands_for() -> None:
    newest = migrations.known_revisions()[0]

    assert RELEASES[migrations.RELEASE] == (newest, GENERATION)
    assert list(RELEASES)[-1] == migrations.RELEASE
    assert len(set(RELEASES.values())) == len(RELEASES)
