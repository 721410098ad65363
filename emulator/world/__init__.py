"""A resolved scenario: every machine, link, user and fault as plain numbers in SI units."""
