"""JSON laid out for people: line ends and indentation between its tokens, every token the bytes it was."""

import re

INDENT = b"  "
_TOKEN = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"|[\[\]{},:]|[^\s\[\]{},:"]+', re.DOTALL)
_OPEN, _CLOSE = frozenset({b"{", b"["}), frozenset({b"}", b"]"})


def indented(raw: bytes) -> bytes:
    """``raw`` with a line for each member and item. Linear in it.

    Args:
        raw: JSON that was checked.
    """
    pieces: list[bytes] = []
    depth, before = 0, b""
    for match in _TOKEN.finditer(raw):
        token = match[0]
        if token in _CLOSE:
            depth -= 1
            if before not in _OPEN:
                pieces.append(b"\n" + INDENT * depth)
        elif before in _OPEN or before == b",":
            pieces.append(b"\n" + INDENT * depth)
        pieces.append(b": " if token == b":" else token)
        depth += token in _OPEN
        before = token
    return b"".join(pieces)
