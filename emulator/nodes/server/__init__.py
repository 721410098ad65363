"""Edge and cloud servers: store, admission, visits of queries."""
