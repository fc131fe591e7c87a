"""What people try, through the real command: `scripts/acceptance people [ROW …]`."""
