"""A request → a Plan: all that can be refused is refused here."""
