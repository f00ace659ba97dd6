"""The log as tiles: 256 hashes wide, eight levels of the tree each, plus bundles of the entries themselves.

A tile only ever grows at its right edge, so appending reads and writes O(log n) tiles. Inside a node a growing tile
keeps one name; exports give it the partial tile's name.

Source: C2SP tlog-tiles.
"""

from collections.abc import Callable, Mapping, Sequence

from health_exchange.audit.hashing import HASH_BYTES, Hash, hash_leaf, hash_node

WIDTH = 256
LEVELS = 8
"""Tree levels one tile spans: 2 ** LEVELS == WIDTH."""
ENTRIES = "entries"

Loader = Callable[[str], bytes | None]
"""Content of a tile by its name; ``None`` where there is none yet."""


def tile_name(level: int | str, index: int) -> str:
    """``tile/0/x001/234``: the index in groups of three digits, all but the last marked."""
    groups = [f"{index % 1000:03d}"]
    while index >= 1000:  # noqa: PLR2004  # groups of three decimal digits
        index //= 1000
        groups.insert(0, f"x{index % 1000:03d}")
    return f"tile/{level}/{'/'.join(groups)}"


def exported_name(name: str, width: int) -> str:
    """The name a tile has in an export: a partial one tells its width."""
    return name if width == WIDTH else f"{name}.p/{width}"


def append(size: int, entries: Sequence[bytes], load: Loader) -> dict[str, bytes]:
    """Tiles that change when ``entries`` follow the first ``size`` ones; O(entries + log n).

    Args:
        size: Entries so far.
        entries: 32-byte commitments, the new log entries in order.
        load: Reads tiles as they are now.
    """
    changed: dict[str, bytes] = {}

    def current(name: str) -> bytes:
        return changed[name] if name in changed else load(name) or b""

    for offset, entry in enumerate(entries):
        index = size + offset
        bundle = tile_name(ENTRIES, index // WIDTH)
        changed[bundle] = current(bundle) + len(entry).to_bytes(2) + entry
        level, node, digest = 0, index, bytes(hash_leaf(entry))
        while True:
            name = tile_name(level, node // WIDTH)
            changed[name] = current(name) + digest
            if (node + 1) % WIDTH:
                break
            digest = _fold(changed[name])
            level, node = level + 1, node // WIDTH
    return changed


def subtree_reader(load: Loader) -> Callable[[int, int], Hash]:
    """Subtree hashes out of tiles, for ``merkle``.

    Raises (when called):
        LookupError: A tile is missing or too short.
    """

    def subtree(start: int, end: int) -> Hash:
        size = end - start
        height = size.bit_length() - 1
        level, inner = divmod(height, LEVELS)
        first = start >> (level * LEVELS)
        name = tile_name(level, first // WIDTH)
        tile = load(name) or b""
        offset = first % WIDTH * HASH_BYTES
        piece = tile[offset : offset + (HASH_BYTES << inner)]
        if len(piece) != HASH_BYTES << inner:
            raise LookupError(f"{name} is missing or too short")
        return Hash(_fold(piece))

    return subtree


def read_bundle(raw: bytes) -> list[bytes]:
    """Entries of a bundle.

    Raises:
        ValueError: A length leads beyond the end.
    """
    entries = []
    position = 0
    while position < len(raw):
        length = int.from_bytes(raw[position : position + 2])
        entry = raw[position + 2 : position + 2 + length]
        if len(entry) != length or position + 2 > len(raw):
            raise ValueError("an entry's length leads beyond the bundle's end")
        entries.append(entry)
        position += 2 + length
    return entries


def width_of(name: str, content: bytes) -> int:
    """How many hashes or entries a tile holds."""
    return len(read_bundle(content)) if name.startswith(f"tile/{ENTRIES}/") else len(content) // HASH_BYTES


def export_tiles(tiles: Mapping[str, bytes]) -> dict[str, bytes]:
    """Tiles under the names an export gives them."""
    return {exported_name(name, width_of(name, content)): content for name, content in tiles.items()}


def _fold(hashes: bytes) -> bytes:
    """The hash over a power of two of hashes."""
    layer = [hashes[position : position + HASH_BYTES] for position in range(0, len(hashes), HASH_BYTES)]
    while len(layer) > 1:
        layer = [hash_node(left, right) for left, right in zip(layer[::2], layer[1::2], strict=True)]
    return layer[0]
