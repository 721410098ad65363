"""The report card of planners and policies: families of worlds in which they differ, and how far they can be pushed."""
