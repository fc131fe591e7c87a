"""The file on disk: written by one thread, watched, opened anew."""
