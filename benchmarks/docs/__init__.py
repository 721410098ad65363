"""Every table, figure and number in docs and README that comes from the code or from a run, made again."""
