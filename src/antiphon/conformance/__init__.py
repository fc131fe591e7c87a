"""A suite that holds any server's answers against the APIs: `antiphon conform`."""
