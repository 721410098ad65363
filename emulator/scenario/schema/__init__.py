"""The sections and fields of a scenario file."""
