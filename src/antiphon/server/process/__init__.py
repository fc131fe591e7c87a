"""Run the server: sockets, signals, processes, the event loop's watch."""
