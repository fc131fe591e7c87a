"""Questions with a closed set of answers → probabilities of the answers."""
