"""`antiphon top`."""
