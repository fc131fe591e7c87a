"""Tables of settings of one part each."""
