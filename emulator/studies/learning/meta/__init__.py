"""Meta reinforcement learning: tasks, episodes on them, a start from which few episodes suffice, and its control."""
