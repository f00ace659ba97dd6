"""FHIR R4 as bytes: split, validate, find references and searched values, splice; never re-serialise."""
