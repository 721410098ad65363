"""How the policies of planners are trained: worlds, what is learned from them, the training itself, and its page."""
