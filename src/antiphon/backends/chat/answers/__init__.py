"""What is read of an answer: odd shapes, errors, counts, citations and pictures, why it ended."""
