"""Loads: Synthea's US demo patients under invented national IDs, as transaction Bundles."""

import tarfile
from pathlib import Path

import msgspec

from health_exchange.pseudonym.identities import check_digit

ARCHIVE = Path(__file__).parents[2] / "shared" / "data" / "synthea-r4-150.tar.xz"
PERSONS = 150
NATIONAL_ID = "urn:oid:2.16.156.10011.1.3"


def national_id(number: int) -> str:
    """A checksum-valid ID on a division code that was never assigned."""
    first = f"190001{1940 + number % 70:04d}{1 + number % 12:02d}{1 + number % 28:02d}{number % 1000:03d}"
    return first + check_digit(first)


def synthea_bundles(time_over: int = 0) -> list[tuple[bytes, int]]:
    """Bundles, minified, each with its number of entries.

    Args:
        time_over: Each number makes other persons of them.

    Raises:
        SystemExit: ``../shared`` is absent.
    """
    if not ARCHIVE.exists():
        raise SystemExit(f"this benchmark needs {ARCHIVE}, which lies outside the repository")
    bundles = []
    with tarfile.open(ARCHIVE) as archive:
        members = [member for member in archive.getmembers() if member.isfile()]
        for number, member in enumerate(members):
            file = archive.extractfile(member)
            assert file is not None
            bundle = msgspec.json.decode(file.read())
            for entry in bundle["entry"]:
                resource = entry["resource"]
                if resource["resourceType"] == "Patient":
                    resource["identifier"] = [
                        {"system": NATIONAL_ID, "value": national_id(number + PERSONS * time_over)}
                    ]
            bundles.append((msgspec.json.encode(bundle), len(bundle["entry"])))
    return bundles
