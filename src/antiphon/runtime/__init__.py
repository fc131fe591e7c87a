"""What all parts of one process share: helper threads, memory, fairness among owners, one timer."""
