-- What a change to an event does to its open rows. The caller holds the event. Rows are taken in the order of `due_at`.
-- A row whose request has started (`lease_until IS NOT NULL AND fire_at <= begun`) is left to finish under its own fence;
-- one that is only held for later is taken back: its lease is cleared and its fence moves on, so that whatever its holder
-- still does comes to nothing. `begun` is a moment after now: until its holder has heard of this, it will have started.

-- name: remove_future
-- What the old rule promised for later. What was begun or opened again on purpose is not of the rule's future. A single
-- occurrence that was moved to later is: an edit says anew when it happens.
DELETE FROM pending
WHERE event_id = %(event_id)s AND coalesce(meant_at, fire_at) > %(since)s AND starts = 0
    AND ((origin = 'rule' AND due_at > %(since)s) OR origin = 'once')
    AND (lease_until IS NULL OR fire_at > %(begun)s)
RETURNING due_at, fire_at, lease_until IS NOT NULL AS held;

-- name: rebind
WITH free AS (
    SELECT event_id, due_at, lease_until IS NOT NULL AS held FROM pending
    WHERE event_id = %(event_id)s AND (lease_until IS NULL OR fire_at > %(begun)s)
    ORDER BY due_at
    FOR UPDATE
)
UPDATE pending AS p
SET version = %(version)s, lease_until = NULL, worker = NULL,
    fence = CASE WHEN f.held THEN nextval('fences') ELSE p.fence END
FROM free AS f
WHERE p.event_id = f.event_id AND p.due_at = f.due_at
RETURNING p.due_at, p.fire_at, f.held;

-- name: block
WITH free AS (
    SELECT event_id, due_at, lease_until IS NOT NULL AS held FROM pending
    WHERE event_id = %(event_id)s AND (lease_until IS NULL OR fire_at > %(begun)s)
    ORDER BY due_at
    FOR UPDATE
)
UPDATE pending AS p
SET blocked_on = 'paused', lease_until = NULL, worker = NULL,
    fence = CASE WHEN f.held THEN nextval('fences') ELSE p.fence END
FROM free AS f
WHERE p.event_id = f.event_id AND p.due_at = f.due_at
RETURNING p.due_at, p.fire_at, f.held;

-- name: unblock
-- Also moves them to the live version: a request that was under way during the pause may have come back bound to an older.
UPDATE pending SET blocked_on = nullif(blocked_on, 'paused'), version = %(version)s
WHERE event_id = %(event_id)s AND lease_until IS NULL
RETURNING due_at, fire_at, false AS held;

-- name: close
-- Whatever has not started, or one of them, or those meant for an instant until then, moves to the ledger without an
-- attempt. What was moved is meant for where it was moved to; a retry for what its first attempt was meant for.
WITH gone AS (
    DELETE FROM pending
    WHERE event_id = %(event_id)s AND (lease_until IS NULL OR fire_at > %(begun)s)
        AND (%(only)s::timestamptz IS NULL OR due_at = %(only)s::timestamptz)
        AND (
            %(until)s::timestamptz IS NULL
            OR coalesce(meant_at, fire_at) <= %(until)s::timestamptz
        )
        AND (%(spare)s::timestamptz IS NULL OR due_at <> %(spare)s::timestamptz)
    RETURNING event_id, due_at, fire_at, origin, version, attempt, wall, parent, callback,
        lease_until IS NOT NULL AS held
), ledger AS (
    INSERT INTO occurrences (
        event_id, due_at, status, reason, origin, version, attempt, wall, finished_at, parent, callback
    )
    SELECT event_id, due_at, %(status)s, %(reason)s, origin, version, attempt, wall, %(now)s, parent, callback FROM gone
), tallied AS (
    INSERT INTO tallies (at, status, count) SELECT %(now)s, %(status)s, count(*) FROM gone HAVING count(*) > 0
)
SELECT due_at, fire_at, held FROM gone;

-- name: skip_ahead
-- An instant that is not expanded yet is written down as skipped, so that expanding leaves it alone.
WITH ledger AS (
    INSERT INTO occurrences (event_id, due_at, status, reason, origin, version, attempt, wall, finished_at)
    VALUES (%(event_id)s, %(due_at)s, 'skipped', %(reason)s, %(origin)s, %(version)s, 0, %(wall)s, %(now)s)
    ON CONFLICT (event_id, due_at) DO NOTHING
    RETURNING 1
)
INSERT INTO tallies (at, status, count) SELECT %(now)s, 'skipped', 1 FROM ledger;

-- name: list_open
SELECT due_at, lease_until IS NOT NULL AND fire_at <= %(begun)s AS started,
    coalesce(meant_at, fire_at) AS meant_at
FROM pending
WHERE event_id = %(event_id)s
ORDER BY due_at;

-- name: find_held
SELECT 1 FROM pending WHERE event_id = %(event_id)s AND lease_until IS NOT NULL LIMIT 1;

-- name: reopen
-- Out of the ledger and back to work under the same identity and the next attempt number, bound to the live version. The
-- caller holds the events and has left out those that are deleted.
WITH back AS (
    DELETE FROM occurrences AS o
    USING unnest(
        %(event_ids)b::uuid[], %(due_ats)b::timestamptz[], %(fire_ats)b::timestamptz[]
    ) AS t (event_id, due_at, fire_at), events AS e
    WHERE o.event_id = t.event_id AND o.due_at = t.due_at AND e.id = t.event_id
    RETURNING o.event_id, o.due_at, t.fire_at, o.origin, o.attempt, o.wall, o.parent, o.callback, e.version, e.status
)
INSERT INTO pending (event_id, due_at, fire_at, version, origin, attempt, blocked_on, wall, parent, callback)
SELECT event_id, due_at, fire_at, version, origin, attempt, CASE status WHEN 'paused' THEN 'paused' END, wall, parent,
    callback
FROM back
RETURNING event_id, due_at, fire_at;

-- name: write_override
-- The whole of it: what was said before of this occurrence and is to stay is said again.
INSERT INTO occurrence_overrides (event_id, due_at, move_to, payload, created_at)
VALUES (%(event_id)s, %(due_at)s, %(move_to)s, %(payload)s::jsonb, %(now)s)
ON CONFLICT (event_id, due_at) DO UPDATE SET move_to = EXCLUDED.move_to, payload = EXCLUDED.payload;

-- name: delete_overrides
DELETE FROM occurrence_overrides WHERE event_id = %(event_id)s AND due_at = ANY(%(due_ats)b::timestamptz[]);

-- name: get_override
SELECT due_at, move_to, payload FROM occurrence_overrides WHERE event_id = %(event_id)s AND due_at = %(due_at)s;

-- name: list_loose_overrides
-- Those of instants to come that have no row, open or closed: an edit has removed it, or it is yet to be made.
SELECT o.due_at, o.move_to, o.payload FROM occurrence_overrides AS o
WHERE o.event_id = %(event_id)s AND o.due_at > %(now)s
    AND NOT EXISTS (SELECT FROM pending AS p WHERE p.event_id = o.event_id AND p.due_at = o.due_at)
    AND NOT EXISTS (SELECT FROM occurrences AS l WHERE l.event_id = o.event_id AND l.due_at = o.due_at)
ORDER BY o.due_at;

-- name: hand_over_overrides
-- To the event that goes on from an instant on; not those of what is done or begun already, having been moved to before it.
UPDATE occurrence_overrides AS o SET event_id = %(heir)s
WHERE o.event_id = %(event_id)s AND o.due_at >= %(since)s
    AND NOT EXISTS (SELECT FROM occurrences AS l WHERE l.event_id = o.event_id AND l.due_at = o.due_at)
    AND NOT EXISTS (
        SELECT FROM pending AS p
        WHERE p.event_id = o.event_id AND p.due_at = o.due_at
            AND (p.starts > 0 OR p.fire_at <= %(now)s OR p.origin = 'callback')
    );

-- name: list_done_ahead
-- Of a rule's instants to come: what is closed, and what is begun, having been moved to an earlier time.
SELECT due_at, CASE WHEN status IN ('skipped', 'cancelled') THEN reason END FROM occurrences
WHERE event_id = %(event_id)s AND due_at >= %(since)s AND origin IN ('rule', 'once')
UNION ALL
SELECT due_at, NULL FROM pending
WHERE event_id = %(event_id)s AND due_at >= %(since)s AND origin IN ('rule', 'once');

-- name: list_changed
-- Occurrences to come that happen at another time, or were called off.
SELECT m.event_id, m.due_at, m.move_to FROM occurrence_overrides AS m
WHERE m.event_id = ANY(%(event_ids)b::uuid[]) AND m.move_to IS NOT NULL
    AND (m.due_at >= %(since)s OR m.move_to >= %(since)s)
    AND NOT EXISTS (
        SELECT FROM occurrences AS o
        WHERE o.event_id = m.event_id AND o.due_at = m.due_at AND o.status IN ('skipped', 'cancelled')
    )
UNION ALL
SELECT event_id, due_at, NULL FROM occurrences
WHERE event_id = ANY(%(event_ids)b::uuid[]) AND due_at >= %(since)s AND status IN ('skipped', 'cancelled')
    AND origin IN ('rule', 'once');

-- name: count_overridden
-- What is open and changed by hand: each of them may wait for long.
SELECT count(*) FROM occurrence_overrides AS o JOIN pending AS p USING (event_id, due_at)
WHERE o.event_id = %(event_id)s AND p.origin NOT IN ('manual', 'callback');

-- name: move
-- Nothing comes back if its request has started meanwhile.
WITH free AS (
    SELECT event_id, due_at, lease_until IS NOT NULL AS held FROM pending
    WHERE event_id = %(event_id)s AND due_at = %(due_at)s AND (lease_until IS NULL OR fire_at > %(begun)s)
    FOR UPDATE
)
UPDATE pending AS p
SET fire_at = %(fire_at)s, meant_at = NULL, lease_until = NULL, worker = NULL,
    fence = CASE WHEN f.held THEN nextval('fences') ELSE p.fence END
FROM free AS f
WHERE p.event_id = f.event_id AND p.due_at = f.due_at
RETURNING p.due_at, p.fire_at, f.held;

-- name: has_day
-- Whether the ledger keeps the day of an instant: it may have been dropped.
SELECT %(day)s < (SELECT ledger_floor FROM installation)
    OR to_regclass('occurrences_' || to_char(%(day)s::date, 'YYYY_MM_DD')) IS NOT NULL;

-- name: find_unknown
-- Which of these instants neither happened nor are open.
SELECT t.due_at FROM unnest(%(due_ats)b::timestamptz[]) AS t (due_at)
WHERE NOT EXISTS (SELECT FROM pending AS p WHERE p.event_id = %(event_id)s AND p.due_at = t.due_at)
    AND NOT EXISTS (SELECT FROM occurrences AS o WHERE o.event_id = %(event_id)s AND o.due_at = t.due_at)
ORDER BY t.due_at;

-- name: pause_until
UPDATE events SET paused_until = %(until)s, resumes_with = %(backlog)s WHERE id = %(event_id)s;

-- name: list_to_resume
SELECT id, paused_until, resumes_with FROM events
WHERE paused_until IS NOT NULL AND status = 'paused'
ORDER BY paused_until
LIMIT %(limit)s;
