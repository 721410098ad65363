"""DADS, emulated again."""
