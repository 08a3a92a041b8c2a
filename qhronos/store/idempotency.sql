-- name: claim_keys
-- Inserting waits for whoever is at the same key right now, so that of any number at once one does the work. A record that
-- has expired is as good as none. In the order of the keys, so that two groups do not deadlock.
INSERT INTO idempotency_keys AS k (subject, key, request_hash, status, headers, body, created_at)
SELECT subject, key, request_hash, status, headers::jsonb, body, %(now)s
FROM unnest(
    %(subjects)b::text[], %(keys)b::text[], %(hashes)b::bytea[], %(statuses)b::smallint[], %(headers)b::text[],
    %(bodies)b::bytea[]
) AS t (subject, key, request_hash, status, headers, body)
ORDER BY subject, key
ON CONFLICT (subject, key) DO UPDATE
SET request_hash = EXCLUDED.request_hash, status = EXCLUDED.status, headers = EXCLUDED.headers, body = EXCLUDED.body,
    created_at = EXCLUDED.created_at
WHERE k.created_at < %(expired)s
RETURNING subject, key;

-- name: find_answers
SELECT subject, key, request_hash, status, headers, body
FROM idempotency_keys
WHERE (subject, key) IN (SELECT * FROM unnest(%(subjects)b::text[], %(keys)b::text[]));

-- name: set_answer
UPDATE idempotency_keys SET status = %(status)s, headers = %(headers)s::jsonb, body = %(body)s
WHERE subject = %(subject)s AND key = %(key)s;

-- name: release_keys
DELETE FROM idempotency_keys WHERE (subject, key) IN (SELECT * FROM unnest(%(subjects)b::text[], %(keys)b::text[]));
