"""Background responses: leases, event logs, followers, cancelling."""
