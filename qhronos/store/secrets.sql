-- name: get_secrets
-- By the transaction that holds the event.
SELECT id, hmac_secret AS hmac_plain, hmac_sealed, hmac_previous, hmac_previous_until, headers_sealed
FROM events WHERE id = %(id)s;

-- name: put_secrets
-- All of each event; what was plain is emptied.
UPDATE events AS e
SET hmac_secret = NULL, hmac_sealed = t.hmac_sealed, hmac_previous = t.hmac_previous,
    hmac_previous_until = t.hmac_previous_until, headers_sealed = t.headers_sealed
FROM unnest(
    %(id)b::uuid[], %(hmac_sealed)b::bytea[], %(hmac_previous)b::bytea[], %(hmac_previous_until)b::timestamptz[],
    %(headers_sealed)b::bytea[]
) AS t (id, hmac_sealed, hmac_previous, hmac_previous_until, headers_sealed)
WHERE e.id = t.id;

-- name: hold_secrets
-- One that somebody else holds is being edited; it is left to the next pass.
SELECT id, hmac_secret AS hmac_plain, hmac_sealed, hmac_previous, hmac_previous_until, headers_sealed
FROM events
WHERE id = ANY(%(ids)b::uuid[])
ORDER BY id
FOR UPDATE SKIP LOCKED;

-- name: list_secrets
-- A page of the events that have secrets.
SELECT id, hmac_secret AS hmac_plain, hmac_sealed, hmac_previous, hmac_previous_until, headers_sealed
FROM events
WHERE id > %(after)s
    AND (coalesce(hmac_sealed, hmac_previous, headers_sealed) IS NOT NULL OR hmac_secret IS NOT NULL)
ORDER BY id
LIMIT %(limit)s;

-- name: find_any
-- The first in the order of its index: to find any, the planner would begin with the table.
SELECT count(*) > 0 FROM (
    SELECT FROM events
    WHERE coalesce(hmac_sealed, hmac_previous, headers_sealed) IS NOT NULL OR hmac_secret IS NOT NULL
    ORDER BY id
    LIMIT 1
) AS one;

-- name: end_overlaps
-- A batch of events that are no longer signed with two secrets.
UPDATE events SET hmac_previous = NULL, hmac_previous_until = NULL
WHERE id = ANY(ARRAY(
    SELECT id FROM events WHERE hmac_previous_until <= %(now)s LIMIT %(limit)s FOR UPDATE SKIP LOCKED
));
