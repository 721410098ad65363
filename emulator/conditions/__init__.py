"""Links and machines as they change: faults and mobility, drawn from the seed."""
