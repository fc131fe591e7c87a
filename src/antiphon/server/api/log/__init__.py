"""`/responses`, `/admin/responses`: the log of responses."""
