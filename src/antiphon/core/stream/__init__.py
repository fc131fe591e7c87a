"""ResponseStream, its Emitter and its Writers."""
