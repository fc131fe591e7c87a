"""HTTP: exchanges, requests, replies, the router."""
