"""IONN, emulated again on its published rows."""
