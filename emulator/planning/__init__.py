"""From a request to a problem, from a problem to a plan, from a plan to a reply."""
