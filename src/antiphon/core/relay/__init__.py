"""Events of a backend that speaks Responses itself → our own."""
