-- Events that webhooks have not taken yet. Secrets are not here: the configuration has them, by URL.
CREATE TABLE deliveries (
    id TEXT NOT NULL,
    url TEXT NOT NULL,
    owner TEXT NOT NULL,
    due REAL NOT NULL,
    attempts INTEGER NOT NULL,
    body BLOB NOT NULL,
    PRIMARY KEY (id, url)
) STRICT;

CREATE INDEX deliveries_by_due ON deliveries (due);
