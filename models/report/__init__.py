"""Networks as tables and drawings."""
