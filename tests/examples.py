"""The official examples of FHIR R4, as they are published."""

import tarfile
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "shared/data/fhir-r4-examples.tar.xz"


def examples() -> dict[str, bytes]:
    """By name of the file, in the order of the archive."""
    if not EXAMPLES.exists():
        pytest.skip(f"{EXAMPLES} is not here")
    with tarfile.open(EXAMPLES) as archive:
        members = [member for member in archive.getmembers() if member.isfile()]
        return {member.name: archive.extractfile(member).read() for member in members}  # type: ignore[union-attr]  # regular files only
