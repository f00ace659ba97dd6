"""The doors: FHIR for facilities and readers, exchange for peers, operator for those who run the node."""
