"""Virtual time, and rates that are shared: CPUs and flows. Knows no networks, layers or messages."""
