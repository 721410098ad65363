"""The paper's experiment, emulated again."""
