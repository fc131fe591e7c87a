"""Tools as a model gets them, and calls as it makes them."""
