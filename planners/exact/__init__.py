"""The optimum, proved: branch and bound, a linear program, enumeration."""
