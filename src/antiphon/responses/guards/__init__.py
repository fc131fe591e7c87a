"""Guards at work: which apply to a response, what they let through, what is told of it."""
