"""Ray: hosts as actors, weights in the object store, plans as tasks, recovery. Nothing else imports ray."""

import os

# Read when ray is imported: its C++ would answer SIGTERM with a stack, and end the process before Python hears of it.
os.environ.setdefault("RAY_DISABLE_FAILURE_SIGNAL_HANDLER", "1")
