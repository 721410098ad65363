"""How publications train their networks, in floating point."""
