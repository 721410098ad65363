"""`python -m layerlift.planners.testing PLANNER...`: the conformance kit from a shell."""

import sys

from layerlift.planners.testing.demands import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
