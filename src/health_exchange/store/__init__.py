"""What a node keeps: sealed bodies, feed, outbox, streams, log; the first floor with I/O."""
