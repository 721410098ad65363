"""docs/learned.md: what learned planners and crowds are worth, and their trainings made again."""
