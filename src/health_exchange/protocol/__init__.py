"""What nodes say to each other: envelopes, streams, receipts, exchange ids; pure."""
