"""Services that advise, behind policy and audit. Empty until the data center's views are released to them."""
