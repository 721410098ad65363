"""Ray: hosts as actors, weights in the object store, plans as tasks, recovery. Nothing else imports ray."""
