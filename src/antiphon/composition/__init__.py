"""The composition root: settings become parts, parts become the ASGI app; which implementation is used is known here only."""
