"""Proofs about the log: that a leaf is in it, and that a later log extends an earlier one.

Making proofs takes any source of subtree hashes (``SubtreeHash``), so that a node reads tiles and tests read lists.
Checking proofs needs neither the log nor the node.

Words used here: a *leaf* is 32 bytes, a *path* runs from the leaf's sibling up to the root.
"""

from collections.abc import Callable, Sequence

from health_exchange.audit.hashing import EMPTY_ROOT, HASH_BYTES, Hash, hash_node, split_point
from health_exchange.model.errors import Category, ExchangeError

SubtreeHash = Callable[[int, int], Hash]
"""Hash over leaves ``start`` to ``end`` (exclusive), where that is a complete subtree: ``end - start`` is a power of
two that divides ``start``."""


class ProofMismatchError(ExchangeError):
    """A proof does not lead to the root it claims."""

    category = Category.CONFLICT
    code = "proof-mismatch"


def root_of(size: int, subtree: SubtreeHash) -> Hash:
    """Root of a log of ``size`` leaves; O(log n) subtree hashes."""
    return range_hash(0, size, subtree) if size else EMPTY_ROOT


def range_hash(start: int, end: int, subtree: SubtreeHash) -> Hash:
    """Hash over a range of leaves as the tree of a log ending at ``end`` has it."""
    size = end - start
    if size & (size - 1) == 0:
        return subtree(start, end)
    middle = start + split_point(size)
    return hash_node(range_hash(start, middle, subtree), range_hash(middle, end, subtree))


def prove_inclusion(index: int, size: int, subtree: SubtreeHash) -> list[Hash]:
    """Path that shows leaf ``index`` is in the log of ``size`` leaves.

    Raises:
        IndexError: ``index`` is not a leaf of that log.
    """
    if not 0 <= index < size:
        raise IndexError(f"leaf {index} of a log of {size}")
    path: list[Hash] = []
    start, end = 0, size
    while end - start > 1:
        middle = start + split_point(end - start)
        if index < middle:
            path.append(range_hash(middle, end, subtree))
            end = middle
        else:
            path.append(range_hash(start, middle, subtree))
            start = middle
    return path[::-1]


def prove_consistency(old_size: int, size: int, subtree: SubtreeHash) -> list[Hash]:
    """Path that shows the log of ``size`` leaves extends the one of ``old_size``.

    Raises:
        IndexError: ``old_size`` is not between 1 and ``size``.
    """
    if not 1 <= old_size <= size:
        raise IndexError(f"a log of {size} does not extend one of {old_size}")
    path: list[Hash] = []
    start, end = 0, size
    while old_size != end:
        middle = start + split_point(end - start)
        if old_size <= middle:
            path.append(range_hash(middle, end, subtree))
            end = middle
        else:
            path.append(range_hash(start, middle, subtree))
            start = middle
    if start:
        path.append(range_hash(start, end, subtree))
    return path[::-1]


def verify_inclusion(leaf: Hash, *, index: int, tree_size: int, path: Sequence[bytes], root: bytes) -> None:
    """Check that ``leaf`` stands at ``index`` of the log that ``root`` commits to.

    Needs neither the log nor this node: auditors run it on exported files.

    Args:
        leaf: What the auditor hashed from the entry in hand.
        index: Claimed position, from 0.
        tree_size: Number of leaves under ``root``.
        path: Sibling hashes from the leaf upwards. Untrusted.
        root: From a checkpoint whose signatures were verified already.

    Raises:
        ProofMismatchError: The path is too short or too long, the index lies outside the tree, or it leads to another
            root.

    Source: RFC 9162, section 2.1.3.2.
    """
    if not 0 <= index < tree_size:
        raise ProofMismatchError(f"leaf {index} is outside a log of {tree_size}")
    if not len(leaf) == len(root) == HASH_BYTES:
        raise ProofMismatchError(f"leaf and root are hashes of {HASH_BYTES} bytes")
    position, last = index, tree_size - 1
    current = leaf
    for sibling in path:
        if last == 0:
            raise ProofMismatchError(f"a path of {len(path)} hashes is too long for a log of {tree_size}")
        if position % 2 == 1 or position == last:
            current = hash_node(sibling, current)
            # A right edge has no sibling on some levels: skip those, as the tree does.
            while position % 2 == 0 and position != 0:
                position, last = position // 2, last // 2
        else:
            current = hash_node(current, sibling)
        position, last = position // 2, last // 2
    if last != 0:
        raise ProofMismatchError(f"a path of {len(path)} hashes is too short for a log of {tree_size}")
    if current != root:
        raise ProofMismatchError(f"leaf {index} of {tree_size} does not lead to the checkpoint's root")


def verify_consistency(*, old_size: int, old_root: bytes, size: int, root: bytes, path: Sequence[bytes]) -> None:
    """Check that the log of ``size`` leaves under ``root`` extends the one of ``old_size`` under ``old_root``.

    Raises:
        ProofMismatchError: It does not, or the path is not one for these sizes.

    Source: RFC 9162, section 2.1.4.2.
    """
    if old_size == size:
        if path or old_root != root:
            raise ProofMismatchError(f"two roots for one log of {size}")
        return
    if not 0 < old_size < size:
        raise ProofMismatchError(f"a log of {size} does not extend one of {old_size}")
    # An old log that was a complete subtree is its own first hash.
    hashes = [old_root, *path] if old_size & (old_size - 1) == 0 else list(path)
    if not hashes:
        raise ProofMismatchError("the path is empty")
    position, last = old_size - 1, size - 1
    while position % 2 == 1:
        position, last = position // 2, last // 2
    old_current = new_current = Hash(hashes[0])
    for sibling in hashes[1:]:
        if last == 0:
            raise ProofMismatchError("the path is too long")
        if position % 2 == 1 or position == last:
            old_current = hash_node(sibling, old_current)
            new_current = hash_node(sibling, new_current)
            while position % 2 == 0 and position != 0:
                position, last = position // 2, last // 2
        else:
            new_current = hash_node(new_current, sibling)
        position, last = position // 2, last // 2
    if last != 0:
        raise ProofMismatchError("the path is too short")
    if old_current != old_root or new_current != root:
        raise ProofMismatchError(f"the log of {size} does not extend the one of {old_size}")
