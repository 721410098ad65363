"""The emulated machines: client, server and planner, each a handful of coroutines and handlers."""
