-- name: response_log
INSERT INTO antiphon.response_log ({log_columns}) VALUES ({log_values})
ON CONFLICT (id) DO NOTHING
