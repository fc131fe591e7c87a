"""Out to other servers: the HTTP client, the guard before users' URLs, writes to sockets."""
