"""From a name or a file to a network: zoo, seeded weights, preparation, cache."""
