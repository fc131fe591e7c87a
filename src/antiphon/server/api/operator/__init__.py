"""What operators read: metrics, usage."""
