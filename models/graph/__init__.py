"""A network as layers, tensors and parameters: the graph that everything else speaks of, its cuts and routes."""
