"""Networks built from their published shapes: nodes by code, weights by name and shape alone."""
