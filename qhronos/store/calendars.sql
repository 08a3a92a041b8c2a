-- name: put_calendar
-- A calendar that is put again keeps its name and its age, and nothing else.
INSERT INTO calendars (
    name, source, weekend, dates, known_until, etag, last_modified, fetch_every, fetched_at, next_fetch_at, changed_at,
    created_at, updated_at
)
VALUES (
    %(name)s, %(source)s::jsonb, %(weekend)s::text[], %(dates)s::date[], %(known_until)s, %(etag)s, %(last_modified)s,
    %(fetch_every)s, CASE WHEN %(fetch_every)s::interval IS NOT NULL THEN %(now)s::timestamptz END,
    %(now)s::timestamptz + %(fetch_every)s::interval, %(now)s, %(now)s, %(now)s
)
ON CONFLICT (name) DO UPDATE
SET source = excluded.source, weekend = excluded.weekend, dates = excluded.dates, known_until = excluded.known_until,
    etag = excluded.etag, last_modified = excluded.last_modified, fetch_every = excluded.fetch_every, fetched_at = excluded.fetched_at,
    next_fetch_at = excluded.next_fetch_at, error = NULL, changed_at = excluded.changed_at, followed_at = NULL,
    updated_at = excluded.updated_at
RETURNING *;

-- name: list_calendars
-- In the order of their names.
SELECT * FROM calendars WHERE %(after)s::text IS NULL OR name > %(after)s::text ORDER BY name LIMIT %(limit)s;

-- name: find_calendars
SELECT * FROM calendars WHERE name = ANY(%(names)b::text[]);

-- name: list_names
SELECT name FROM calendars ORDER BY name;

-- name: lock_calendar
-- What uses it is looked at while it is held.
SELECT name FROM calendars WHERE name = %(name)s FOR UPDATE;

-- name: take_stale
-- One that is to be read again, put off as if reading it had failed: no two replicas read it, and if this one dies another
-- will.
UPDATE calendars SET next_fetch_at = %(retry_at)s
WHERE name = (
    SELECT name FROM calendars WHERE next_fetch_at <= %(now)s ORDER BY next_fetch_at LIMIT 1 FOR UPDATE SKIP LOCKED
)
RETURNING *;

-- name: refresh
-- Unless it was put anew meanwhile.
UPDATE calendars
SET etag = %(etag)s, last_modified = %(last_modified)s, fetch_every = %(fetch_every)s, fetched_at = %(now)s,
    next_fetch_at = %(now)s::timestamptz + %(fetch_every)s::interval, error = NULL,
    dates = %(dates)s::date[], known_until = %(known_until)s,
    changed_at = CASE WHEN %(changed)s THEN %(now)s ELSE changed_at END,
    followed_at = CASE WHEN %(changed)s THEN NULL ELSE followed_at END,
    updated_at = CASE WHEN %(changed)s THEN %(now)s ELSE updated_at END
WHERE name = %(name)s AND changed_at = %(seen)s;

-- name: fail
UPDATE calendars SET error = %(error)s, next_fetch_at = %(next_fetch_at)s WHERE name = %(name)s AND changed_at = %(seen)s;

-- name: list_unfollowed
SELECT name, changed_at FROM calendars WHERE followed_at IS NULL ORDER BY name;

-- name: followed
UPDATE calendars SET followed_at = %(now)s WHERE name = %(name)s AND changed_at = %(seen)s;

-- name: list_users
-- Live events that name it, in the order of their ids, so that the next page goes on behind the last.
SELECT id, name, status FROM events
WHERE recurrence #> '{business,calendars}' @> jsonb_build_array(%(name)s::text) AND status <> 'deleted'
    AND (%(after)s::uuid IS NULL OR id > %(after)s::uuid)
ORDER BY id
LIMIT %(limit)s;

-- name: delete_calendar
DELETE FROM calendars WHERE name = %(name)s;
