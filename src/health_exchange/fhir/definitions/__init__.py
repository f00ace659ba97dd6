"""FHIR R4 4.0.1 as compact tables, made by ``scripts/compile_definitions.py`` from the official definitions."""
