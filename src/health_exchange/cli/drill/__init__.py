"""``health-exchange drill``: a network of real processes that something is done to, and what is left of it after."""
