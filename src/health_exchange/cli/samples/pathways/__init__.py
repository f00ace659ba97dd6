"""One module a pathway: what happens to a person, where, and what each place writes down."""
