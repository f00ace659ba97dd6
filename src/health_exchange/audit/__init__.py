"""The tamper-evident log: entries, Merkle tree, tiles, checkpoints, cosignatures, offline verification."""
