-- name: lock
-- Held by the session until it ends, so that two that migrate at once do not meet.
SELECT pg_advisory_lock(hashtext('qhronos.migrate'));

-- name: create_ledger
CREATE TABLE IF NOT EXISTS schema_migrations (
    name text PRIMARY KEY,
    checksum text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now()
);

-- name: find_ledger
SELECT to_regclass('schema_migrations')::text;

-- name: list_applied
SELECT name, checksum FROM schema_migrations;

-- name: record
INSERT INTO schema_migrations (name, checksum) VALUES (%(name)s, %(checksum)s);
