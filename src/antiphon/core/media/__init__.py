"""Images and files: their types, and their URLs inside JSON."""
