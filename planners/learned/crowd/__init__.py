"""A mixed strategy for users who cannot coordinate: what each sees, whole numbers that score it, and the draw."""
