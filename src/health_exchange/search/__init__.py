"""FHIR search over what is kept: candidates by token, re-checked on the opened body."""
