"""Containers of the code interpreter: rows and files of the store, with a sandbox while they are used."""
