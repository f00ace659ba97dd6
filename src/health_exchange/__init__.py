"""A national health-information exchange: one program for county, city, province and nation.

The folders are floors of a house; each imports only from those below it (``pyproject.toml``, import contracts):
``model``, then ``fhir | crypto | telemetry``, then the pure rules ``protocol | pseudonym | policy | audit``, then
``store | peers``, ``search``, ``node | datacenter``, ``ai``, ``api | console``, ``wiring`` and ``cli``.
"""
