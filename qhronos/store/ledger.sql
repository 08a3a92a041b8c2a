-- What an event promised and what is recorded of it. Read in one snapshot: a row on its way from `pending` to the ledger
-- would be in neither of two.

-- name: get_subject
-- Also one that is deleted, as long as what it promised is known.
SELECT id, status, version, expanded_until, start_time FROM events
WHERE id = %(event_id)s AND (%(scope)s::text[] IS NULL OR tags && %(scope)s::text[]);

-- name: list_versions
-- Those that were valid in the window, and single instants near it, which a version may have made although they were
-- over. Which local time is near is told without zones.
SELECT version, recurrence, policies, tzdata, valid_from, valid_until FROM event_versions
WHERE event_id = %(event_id)s
    AND (
        (valid_from - %(grace)s::interval < %(until)s AND (valid_until IS NULL OR valid_until > %(since)s))
        OR (
            recurrence ->> 'rrule' = '[]' AND recurrence ->> 'rdate' = '[]'
            AND (
                recurrence ? 'business'
                OR (
                    (recurrence ->> 'dtstart')::timestamp AT TIME ZONE 'UTC' > %(since)s - interval '2 days'
                    AND (recurrence ->> 'dtstart')::timestamp AT TIME ZONE 'UTC' < %(until)s + interval '2 days'
                )
            )
        )
    )
ORDER BY version
LIMIT %(limit)s;

-- name: get_version
SELECT version, recurrence, policies, tzdata, valid_from, valid_until FROM event_versions
WHERE event_id = %(event_id)s AND version = %(version)s;

-- name: list_gaps
SELECT since, until, count, reason FROM gaps
WHERE event_id = %(event_id)s AND since < %(until)s AND until > %(since)s
ORDER BY since;

-- name: list_recorded
-- Open and closed as one, in the order of time.
SELECT found.*, v.move_to
FROM (
    SELECT p.event_id, p.due_at,
        CASE WHEN p.lease_until IS NOT NULL AND p.fire_at <= %(begun)s THEN 'dispatched' ELSE 'scheduled' END AS status,
        p.blocked_on AS reason, p.origin, p.version, p.attempt, p.fire_at, p.wall, NULL::timestamptz AS finished_at,
        p.parent, p.callback
    FROM pending AS p
    WHERE p.event_id = %(event_id)s AND p.due_at >= %(since)s AND p.due_at < %(until)s
    UNION ALL
    SELECT o.event_id, o.due_at, o.status, o.reason, o.origin, o.version, o.attempt, NULL, o.wall, o.finished_at,
        o.parent, o.callback
    FROM occurrences AS o
    WHERE o.event_id = %(event_id)s AND o.due_at >= %(since)s AND o.due_at < %(until)s
    ORDER BY due_at
    LIMIT %(limit)s
) AS found
LEFT JOIN occurrence_overrides AS v USING (event_id, due_at)
ORDER BY found.due_at;

-- name: find_by_wall
-- What has one of these local times and an instant outside of the window, by other zone rules.
SELECT found.*, NULL::timestamptz AS move_to
FROM (
    SELECT p.event_id, p.due_at,
        CASE WHEN p.lease_until IS NOT NULL AND p.fire_at <= %(begun)s THEN 'dispatched' ELSE 'scheduled' END AS status,
        p.blocked_on AS reason, p.origin, p.version, p.attempt, p.fire_at, p.wall, NULL::timestamptz AS finished_at,
        p.parent, p.callback
    FROM pending AS p
    WHERE p.event_id = %(event_id)s AND p.due_at >= %(since)s - %(far)s::interval
        AND p.due_at < %(until)s + %(far)s::interval AND p.wall = ANY(%(walls)b::timestamp[])
    UNION ALL
    SELECT o.event_id, o.due_at, o.status, o.reason, o.origin, o.version, o.attempt, NULL, o.wall, o.finished_at,
        o.parent, o.callback
    FROM occurrences AS o
    WHERE o.event_id = %(event_id)s AND o.due_at >= %(since)s - %(far)s::interval
        AND o.due_at < %(until)s + %(far)s::interval AND o.wall = ANY(%(walls)b::timestamp[])
) AS found
WHERE found.due_at < %(since)s OR found.due_at >= %(until)s;

-- name: find_moved
-- Of single instants, those that were moved: an edit says anew when they happen.
SELECT due_at FROM occurrence_overrides
WHERE event_id = %(event_id)s AND due_at = ANY(%(due_ats)b::timestamptz[]) AND move_to IS NOT NULL;

-- name: find_kept_since
-- Since when the ledger keeps what was due. Days before the first are one partition, which loses nothing that is younger
-- than any day that was dropped.
SELECT min(to_date(right(c.relname, 10), 'YYYY_MM_DD')) AS first, (SELECT ledger_floor FROM installation) AS floor
FROM pg_inherits AS i JOIN pg_class AS c ON c.oid = i.inhrelid
WHERE i.inhparent = 'occurrences'::regclass AND c.relname ~ '^occurrences_\d{4}_\d{2}_\d{2}$';

-- name: list_active_after
-- The next so many by their ids, to be looked at in turns.
SELECT id FROM events WHERE status = 'active' AND id > %(after)s ORDER BY id LIMIT %(limit)s;
