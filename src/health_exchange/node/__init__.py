"""What a node does: admit, send, receive, keep key shares, witness."""
