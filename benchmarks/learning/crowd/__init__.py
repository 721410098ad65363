"""docs/learned.md: what the learned mixed strategy is worth to crowds, beside planners that talk and that do not."""
