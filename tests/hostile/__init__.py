"""What hostile clients send, generated from the specifications, and a server in this process to send it to."""
