"""Text that guards hold back."""
