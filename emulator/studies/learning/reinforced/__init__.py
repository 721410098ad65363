"""How policies are trained by reinforcement: ways walked by what is known so far, and what came of them."""
