"""The vocabulary of the exchange: addresses, powers, purposes, sensitivity, identifiers, errors, the clock."""
