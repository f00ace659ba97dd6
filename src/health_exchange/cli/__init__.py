"""The operator's door: the health-exchange command."""
