"""Networks that run: subgraphs of any run of layers, and their sessions."""
