"""What may leave an origin: one table row per resource type, as package data that a domain expert reads."""
