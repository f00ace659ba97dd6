"""Sample records: invented people, checksum-valid identities no state ever issued, and their ways through care."""
