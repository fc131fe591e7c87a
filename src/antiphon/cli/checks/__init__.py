"""`antiphon check` and `antiphon doctor`."""
