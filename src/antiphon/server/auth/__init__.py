"""Who asks: keys, tokens, host names."""
