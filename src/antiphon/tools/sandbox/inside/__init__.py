"""What runs inside a sandbox: with the standard library alone, on Python 3.9 and newer, and without a file of its own."""
