"""The paper's experiment, and others of the field, emulated again."""
