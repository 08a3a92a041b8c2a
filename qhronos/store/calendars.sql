-- name: put_calendar
-- A calendar that is put again keeps its name and its age, and nothing else.
INSERT INTO calendars (name, source, weekend, dates, known_until, created_at, updated_at)
VALUES (
    %(name)s, %(source)s::jsonb, %(weekend)s::text[], %(dates)s::date[], %(known_until)s, %(now)s, %(now)s
)
ON CONFLICT (name) DO UPDATE
SET source = excluded.source, weekend = excluded.weekend, dates = excluded.dates, known_until = excluded.known_until,
    etag = NULL, fetched_at = NULL, next_fetch_at = NULL, error = NULL, updated_at = excluded.updated_at
RETURNING name, source, weekend, dates, known_until, error, created_at, updated_at;

-- name: list_calendars
-- In the order of their names.
SELECT name, source, weekend, dates, known_until, error, created_at, updated_at
FROM calendars
WHERE %(after)s::text IS NULL OR name > %(after)s::text
ORDER BY name
LIMIT %(limit)s;

-- name: find_calendars
SELECT name, source, weekend, dates, known_until, error, created_at, updated_at
FROM calendars
WHERE name = ANY(%(names)b::text[]);

-- name: list_names
SELECT name FROM calendars ORDER BY name;

-- name: lock_calendar
-- What uses it is looked at while it is held.
SELECT name FROM calendars WHERE name = %(name)s FOR UPDATE;

-- name: list_users
-- Live events that name it, in the order of their ids, so that the next page goes on behind the last.
SELECT id, name, status FROM events
WHERE recurrence #> '{business,calendars}' @> jsonb_build_array(%(name)s::text) AND status <> 'deleted'
    AND (%(after)s::uuid IS NULL OR id > %(after)s::uuid)
ORDER BY id
LIMIT %(limit)s;

-- name: delete_calendar
DELETE FROM calendars WHERE name = %(name)s;
