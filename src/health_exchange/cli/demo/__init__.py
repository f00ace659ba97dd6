"""``health-exchange demo``: a national network on one laptop, from nothing to a verified report."""
