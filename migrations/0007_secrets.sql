-- Secrets are sealed at rest: AES-256-GCM under keys that the database does not have, and bound to their column and row.
-- What is plain in hmac_secret is from before; it counts until it is sealed, which the janitor and `qhronos secrets rotate`
-- do, and which empties it. An event may be signed with two secrets while its receivers follow.
ALTER TABLE events
    ADD COLUMN hmac_sealed bytea, -- null: the default secret signs
    ADD COLUMN hmac_previous bytea, -- what signed before; null: the default secret did
    ADD COLUMN hmac_previous_until timestamptz, -- until then that signs as well
    ADD COLUMN headers_sealed bytea; -- the header values that are marked as secret, one JSON object

CREATE INDEX events_secrets ON events (id)
    WHERE coalesce(hmac_sealed, hmac_previous, headers_sealed) IS NOT NULL OR hmac_secret IS NOT NULL;
CREATE INDEX events_overlap ON events (hmac_previous_until) WHERE hmac_previous_until IS NOT NULL;
