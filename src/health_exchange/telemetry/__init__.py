"""Event names, metrics and request ids; never record content."""
