"""ResponseStream, and all that writes its Events."""
