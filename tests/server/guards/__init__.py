"""Guards of requests and answers, over real sockets."""
