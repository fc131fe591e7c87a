"""What refusals of backends teach, and how requests are changed by it."""
