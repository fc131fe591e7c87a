"""Calls that the server makes for a model: of hosted tools and of MCP servers, and their approval."""
