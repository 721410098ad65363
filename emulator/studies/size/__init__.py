"""How much is enough: the smallest value of a field, or of two, with which a scenario keeps a target."""
