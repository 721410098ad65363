"""What layers cost: shipped and measured profiles, and regressions that predict them."""
