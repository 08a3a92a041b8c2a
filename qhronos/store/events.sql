-- name: insert_events
-- Any number in one statement, each with its first version. One whose key is taken is left out, and so is not returned.
-- In the order of the keys, so that two groups that want the same ones wait for each other instead of deadlocking.
WITH given AS (
    SELECT *
    FROM unnest(
        %(id)b::uuid[], %(key)b::text[], %(name)b::text[], %(description)b::text[], %(start_time)b::timestamptz[],
        %(timezone)b::text[], %(schedule)b::text[], %(recurrence)b::text[], %(action)b::text[], %(metadata)b::text[],
        %(tags)b::text[], %(policies)b::text[], %(status)b::text[], %(tzdata)b::text[],
        %(expanded_until)b::timestamptz[], %(next_due_at)b::timestamptz[], %(next_expand_at)b::timestamptz[],
        %(created_at)b::timestamptz[]
    ) AS t (
        id, key, name, description, start_time, timezone, schedule, recurrence, action, metadata, tags, policies,
        status, tzdata, expanded_until, next_due_at, next_expand_at, created_at
    )
), made AS (
    INSERT INTO events (
        id, key, name, description, start_time, timezone, schedule, recurrence, action, metadata, tags, policies,
        status, version, tzdata, expanded_until, next_due_at, next_expand_at, created_at, updated_at
    )
    SELECT id, key, name, description, start_time, timezone, schedule::json, recurrence::jsonb, action::json,
        metadata::jsonb, tags::text[], policies::jsonb, status, 1, tzdata, expanded_until, next_due_at,
        next_expand_at, created_at, created_at
    FROM given
    ORDER BY key
    ON CONFLICT (key) WHERE deleted_at IS NULL DO NOTHING
    RETURNING id, version, recurrence, policies, tzdata, created_at
), versions AS (
    INSERT INTO event_versions (event_id, version, recurrence, policies, tzdata, valid_from)
    SELECT id, version, recurrence, policies, tzdata, created_at FROM made
)
SELECT id FROM made;

-- name: lock_event
-- Every change locks its event before any of its open rows.
SELECT id FROM events
WHERE id = %(id)s AND status <> 'deleted' AND (%(scope)s::text[] IS NULL OR tags && %(scope)s::text[])
FOR UPDATE;

-- name: lock_key
SELECT id, %(scope)s::text[] IS NULL OR tags && %(scope)s::text[] AS visible FROM events
WHERE key = %(key)s AND deleted_at IS NULL
FOR UPDATE;

-- name: lock_of_occurrences
-- The events of these occurrences, whatever their status.
SELECT id, status FROM events
WHERE id = ANY(%(ids)b::uuid[]) AND (%(scope)s::text[] IS NULL OR tags && %(scope)s::text[])
ORDER BY id
FOR UPDATE;

-- name: get_events
-- `upcoming` is what a list promises to show truly: the first instant that is open and not begun, or the first that is
-- not yet expanded; one that was moved may be open far beyond that.
SELECT e.id, e.key, e.name, e.description, e.start_time, e.timezone, e.schedule, e.recurrence, e.action, e.metadata,
    e.tags, e.policies, (e.hmac_secret IS NOT NULL OR e.hmac_sealed IS NOT NULL) AS has_hmac_secret,
    CASE WHEN e.hmac_previous_until > %(now)s THEN e.hmac_previous_until END AS hmac_overlap_until,
    e.status, e.reason, e.version, e.tzdata,
    e.expanded_until, e.next_due_at, e.next_expand_at, e.created_at, e.updated_at,
    CASE WHEN e.status <> 'deleted' THEN least(open.due_at, e.next_due_at) END AS upcoming, e.paused_until
FROM events AS e
LEFT JOIN LATERAL (
    SELECT p.due_at FROM pending AS p
    WHERE p.event_id = e.id AND p.starts = 0 AND (p.lease_until IS NULL OR p.fire_at > %(begun)s)
    ORDER BY p.due_at
    LIMIT 1
) AS open ON true
WHERE e.id = ANY(%(ids)s) AND e.status <> 'deleted' AND (%(scope)s::text[] IS NULL OR e.tags && %(scope)s::text[]);

-- name: search_events
-- The ids of a page of `list_events`. What is common is among the newest, which are walked; what is rare has to be looked up by
-- its own index, and OFFSET keeps the planner from walking to the other end of the table for it.
WITH near AS MATERIALIZED (
    SELECT id FROM (
        SELECT * FROM events WHERE %(before)s::uuid IS NULL OR id < %(before)s::uuid ORDER BY id DESC LIMIT 2000
    ) AS newest
    WHERE (%(scope)s::text[] IS NULL OR tags && %(scope)s::text[])
        AND (%(any_tags)s::text[] IS NULL OR tags && %(any_tags)s::text[])
        AND (%(all_tags)s::text[] IS NULL OR tags @> %(all_tags)s::text[])
        AND (%(statuses)s::text[] IS NOT NULL OR status <> 'deleted')
        AND (%(statuses)s::text[] IS NULL OR status = ANY(%(statuses)s::text[]))
        AND (%(metadata)s::text IS NULL OR metadata @> %(metadata)s::text::jsonb)
        AND (
            %(words)s::text IS NULL
            OR to_tsvector('simple', name || ' ' || description || ' ' || coalesce(key, '')) @@ prefixes(%(words)s)
        )
    ORDER BY id DESC
    LIMIT %(limit)s
)
SELECT id FROM near WHERE (SELECT count(*) FROM near) = %(limit)s
UNION ALL (
    SELECT id FROM (
        SELECT id FROM events
        WHERE (%(before)s::uuid IS NULL OR id < %(before)s::uuid)
            AND (%(scope)s::text[] IS NULL OR tags && %(scope)s::text[])
            AND (%(any_tags)s::text[] IS NULL OR tags && %(any_tags)s::text[])
            AND (%(all_tags)s::text[] IS NULL OR tags @> %(all_tags)s::text[])
            AND (%(statuses)s::text[] IS NOT NULL OR status <> 'deleted')
            AND (%(statuses)s::text[] IS NULL OR status = ANY(%(statuses)s::text[]))
            AND (%(metadata)s::text IS NULL OR metadata @> %(metadata)s::text::jsonb)
            AND (
                %(words)s::text IS NULL
                OR to_tsvector('simple', name || ' ' || description || ' ' || coalesce(key, '')) @@ prefixes(%(words)s)
            )
        OFFSET 0
    ) AS found
    WHERE (SELECT count(*) FROM near) < %(limit)s
    ORDER BY id DESC
    LIMIT %(limit)s
);

-- name: list_events
-- Newest first: ids are time-ordered. A filter that is not asked for is a constant that the planner removes, which is why
-- this is never prepared.
SELECT e.id, e.key, e.name, e.description, e.start_time, e.timezone, e.schedule, e.recurrence, e.action, e.metadata,
    e.tags, e.policies, (e.hmac_secret IS NOT NULL OR e.hmac_sealed IS NOT NULL) AS has_hmac_secret,
    CASE WHEN e.hmac_previous_until > %(now)s THEN e.hmac_previous_until END AS hmac_overlap_until,
    e.status, e.reason, e.version, e.tzdata,
    e.expanded_until, e.next_due_at, e.next_expand_at, e.created_at, e.updated_at,
    CASE WHEN e.status <> 'deleted' THEN least(open.due_at, e.next_due_at) END AS upcoming, e.paused_until
FROM events AS e
LEFT JOIN LATERAL (
    SELECT p.due_at FROM pending AS p
    WHERE p.event_id = e.id AND p.starts = 0 AND (p.lease_until IS NULL OR p.fire_at > %(begun)s)
    ORDER BY p.due_at
    LIMIT 1
) AS open ON true
WHERE (%(ids)s::uuid[] IS NULL OR e.id = ANY(%(ids)s::uuid[]))
    AND (%(before)s::uuid IS NULL OR e.id < %(before)s::uuid)
    AND (%(scope)s::text[] IS NULL OR e.tags && %(scope)s::text[])
    AND (%(any_tags)s::text[] IS NULL OR e.tags && %(any_tags)s::text[])
    AND (%(all_tags)s::text[] IS NULL OR e.tags @> %(all_tags)s::text[])
    AND (%(statuses)s::text[] IS NOT NULL OR e.status <> 'deleted')
    AND (%(statuses)s::text[] IS NULL OR e.status = ANY(%(statuses)s::text[]))
    AND (%(metadata)s::text IS NULL OR e.metadata @> %(metadata)s::text::jsonb)
    AND (
        %(words)s::text IS NULL
        OR to_tsvector('simple', e.name || ' ' || e.description || ' ' || coalesce(e.key, '')) @@ prefixes(%(words)s)
    )
ORDER BY e.id DESC
LIMIT %(limit)s;

-- name: save_event
-- The whole row but its secrets, by the transaction that holds its lock.
UPDATE events
SET key = %(key)s, name = %(name)s, description = %(description)s, start_time = %(start_time)s,
    timezone = %(timezone)s, schedule = %(schedule)s::json, recurrence = %(recurrence)s::jsonb,
    action = %(action)s::json, metadata = %(metadata)s::jsonb, tags = %(tags)s::text[],
    policies = %(policies)s::jsonb, status = %(status)s, reason = %(reason)s, version = %(version)s,
    tzdata = %(tzdata)s, expanded_until = %(expanded_until)s, next_due_at = %(next_due_at)s,
    next_expand_at = %(next_expand_at)s, updated_at = %(updated_at)s
WHERE id = %(id)s;

-- name: delete_event
-- Softly: its history stays, its key is free again.
UPDATE events
SET status = 'deleted', deleted_at = %(now)s, updated_at = %(now)s, next_due_at = NULL, next_expand_at = NULL,
    hmac_secret = NULL, hmac_sealed = NULL, hmac_previous = NULL, hmac_previous_until = NULL, headers_sealed = NULL
WHERE id = %(id)s;

-- name: close_version
UPDATE event_versions SET valid_until = %(now)s WHERE event_id = %(event_id)s AND valid_until IS NULL;

-- name: open_version
INSERT INTO event_versions (event_id, version, recurrence, policies, tzdata, valid_from)
VALUES (%(event_id)s, %(version)s, %(recurrence)s::jsonb, %(policies)s::jsonb, %(tzdata)s, %(now)s);

-- name: revive_events
-- Something was opened again: what was completed has work left. Calendars that show the others see that they have changed.
WITH before AS (SELECT id, status = 'completed' AS was_completed FROM events WHERE id = ANY(%(ids)b::uuid[]))
UPDATE events AS e SET status = CASE e.status WHEN 'completed' THEN 'active' ELSE e.status END, updated_at = %(now)s
FROM before WHERE e.id = before.id
RETURNING e.id, e.name, e.status, e.tags, e.version, e.updated_at, before.was_completed;

-- name: touch_events
UPDATE events SET updated_at = %(now)s WHERE id = ANY(%(ids)b::uuid[])
RETURNING id, name, status, tags, version, updated_at;

-- name: find_keys
-- The live events that have these keys, also those out of sight, which stand in the way all the same.
SELECT key, id, %(scope)s::text[] IS NULL OR tags && %(scope)s::text[] AS visible FROM events
WHERE key = ANY(%(keys)b::text[]) AND deleted_at IS NULL;
