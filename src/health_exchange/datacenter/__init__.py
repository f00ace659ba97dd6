"""The unified view province and nation build over all that reaches them."""
