"""Vector stores at work: files become chunks (leased jobs, processes that read documents), chunks are found."""
