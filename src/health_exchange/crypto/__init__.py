"""Suites of the exchange: hybrid signatures, sealed boxes, key wrap; values in, values out."""
