"""From a national ID to a pseudonym, and from a record to what may leave: pure rules."""
