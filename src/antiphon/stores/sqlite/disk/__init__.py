"""The file of an SQLite store: its room, its faults, how it is opened again."""
