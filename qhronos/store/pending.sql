-- name: insert_open
-- Writing an instant twice, or on two nodes at once, opens it once; one that is closed stays closed.
-- The lateral look-up keeps the planner from scanning the ledger: one index probe in one partition per row.
INSERT INTO pending (event_id, due_at, fire_at, version, origin, wall)
SELECT t.event_id, t.due_at, t.fire_at, t.version, t.origin, t.wall
FROM unnest(
    %(event_ids)b::uuid[], %(due_ats)b::timestamptz[], %(fire_ats)b::timestamptz[],
    %(versions)b::int[], %(origins)b::text[], %(walls)b::timestamp[]
) AS t (event_id, due_at, fire_at, version, origin, wall)
LEFT JOIN LATERAL (
    SELECT true AS closed FROM occurrences AS o
    WHERE o.event_id = t.event_id AND o.due_at = t.due_at
    LIMIT 1
) AS ledger ON true
WHERE ledger.closed IS NULL
ON CONFLICT (event_id, due_at) DO NOTHING
RETURNING event_id, due_at, fire_at;

-- name: claim
-- The claim that counts: fence and lease, for rows that are due, free and unblocked. A row that somebody else is at is
-- skipped, not waited for. One that is bound to a later version than we see of its event is being edited: it is left. One
-- bound to an earlier was under way during an edit and came back: it goes on with the live version. So did one whose event
-- is deleted by now: it is claimed to be cancelled. What takes turns is claimed otherwise: see lanes.sql.
WITH picked AS (
    SELECT p.event_id, p.due_at
    FROM unnest(%(event_ids)b::uuid[], %(due_ats)b::timestamptz[]) AS t (event_id, due_at)
    JOIN pending AS p USING (event_id, due_at)
    JOIN events AS e ON e.id = p.event_id AND e.version >= p.version
    WHERE p.lease_until IS NULL
        AND p.blocked_on IS NULL
        AND p.fire_at <= %(horizon)s
        AND (e.lane IS NULL OR p.callback IS NOT NULL)
        AND e.status IN ('active', 'completed', 'deleted')
    ORDER BY p.event_id, p.due_at
    FOR UPDATE OF p SKIP LOCKED
)
UPDATE pending AS p
SET version = e.version, fence = nextval('fences'), lease_until = %(lease_until)s, worker = %(worker)s
FROM picked AS k
JOIN events AS e ON e.id = k.event_id
LEFT JOIN occurrence_overrides AS o ON o.event_id = k.event_id AND o.due_at = k.due_at
WHERE p.event_id = k.event_id AND p.due_at = k.due_at
RETURNING
    p.event_id, p.due_at, p.fire_at, p.version, p.origin, p.attempt, p.starts, p.losses, p.fence,
    coalesce(p.meant_at, p.fire_at) AS meant_at, p.callback, p.fallback, p.handed_at AS handed_first_at,
    e.name, e.description, e.action, e.tags, e.policies,
    e.hmac_secret AS hmac_plain, e.hmac_sealed, e.hmac_previous, e.hmac_previous_until, e.headers_sealed,
    coalesce(o.payload, e.metadata) AS metadata, e.status = 'deleted' AS orphaned;

-- name: count_later_due
-- How many occurrences of their events were meant for later than these and are due as well; asked only for those that were
-- missed. One pass over the rows of an event, however many of them are asked for.
WITH due AS (
    SELECT event_id, due_at, row_number() OVER (
        PARTITION BY event_id ORDER BY coalesce(meant_at, fire_at) DESC, due_at DESC
    ) - 1 AS later
    FROM pending
    WHERE event_id = ANY(%(event_ids)b::uuid[]) AND origin = 'rule' AND coalesce(meant_at, fire_at) <= %(now)s
)
SELECT d.event_id, d.due_at, d.later
FROM unnest(%(event_ids)b::uuid[], %(due_ats)b::timestamptz[]) AS t (event_id, due_at)
JOIN due AS d USING (event_id, due_at);

-- name: find_left
-- What is free of the entries that a claim did not take: what is not due yet, and what takes turns.
SELECT p.event_id, p.due_at, p.fire_at, CASE WHEN p.callback IS NULL THEN e.lane END AS lane
FROM unnest(%(event_ids)b::uuid[], %(due_ats)b::timestamptz[]) AS t (event_id, due_at)
JOIN pending AS p USING (event_id, due_at)
JOIN events AS e ON e.id = p.event_id AND e.version >= p.version
WHERE p.lease_until IS NULL AND p.blocked_on IS NULL
    AND (p.fire_at > %(horizon)s OR (e.lane IS NOT NULL AND p.callback IS NULL))
    AND e.status IN ('active', 'completed', 'deleted');

-- name: settle
-- Fenced: only the claim that still holds a row can settle it, and only once: whatever frees a row moves its fence on. What
-- is closed leaves `pending` for the ledger, what is to be tried again gets its next instant, and either way the attempt is
-- recorded, in one statement. It does not ask for the lease: the planner, who guesses how many are held from statistics that
-- a burst outruns, would then compare each held row with each given one.
WITH given AS (
    SELECT *
    FROM unnest(
        %(event_ids)b::uuid[], %(due_ats)b::timestamptz[], %(fences)b::bigint[], %(statuses)b::text[],
        %(reasons)b::text[], %(fire_ats)b::timestamptz[], %(outcomes)b::text[], %(codes)b::int[],
        %(excerpts)b::text[], %(started)b::timestamptz[], %(finished)b::timestamptz[],
        %(callbacks)b::text[], %(payloads)b::text[], %(fallbacks)b::boolean[]
    ) AS t (
        event_id, due_at, fence, status, reason, fire_at, outcome, status_code, excerpt, started_at, finished_at,
        callback, payload, fallback
    )
), closed AS (
    DELETE FROM pending AS p USING given AS g
    WHERE p.event_id = g.event_id AND p.due_at = g.due_at AND p.fence = g.fence AND g.status <> 'scheduled'
    RETURNING p.event_id, p.due_at, p.fence, p.origin, p.version, p.wall, p.parent, p.callback AS told,
        p.attempt + (g.outcome IS NOT NULL)::int AS attempt, g.status, g.reason, g.finished_at, g.callback, g.payload
), again AS (
    UPDATE pending AS p
    SET meant_at = coalesce(p.meant_at, p.fire_at), fire_at = g.fire_at, lease_until = NULL, worker = NULL, losses = 0,
        fence = nextval('fences'),
        attempt = p.attempt + (g.outcome IS NOT NULL)::int, starts = p.starts + (g.outcome IS NOT NULL)::int,
        fallback = p.fallback OR g.fallback
    FROM given AS g
    WHERE p.event_id = g.event_id AND p.due_at = g.due_at AND p.fence = g.fence AND g.status = 'scheduled'
    RETURNING p.event_id, p.due_at, g.fence, p.version, p.attempt, p.fire_at, g.outcome IS NULL AS put_off
), settled AS (
    SELECT event_id, due_at, fence, version, attempt, status, NULL::timestamptz AS fire_at, false AS put_off FROM closed
    UNION ALL
    SELECT event_id, due_at, fence, version, attempt, 'scheduled', fire_at, put_off FROM again
), ledger AS (
    INSERT INTO occurrences (
        event_id, due_at, status, reason, origin, version, attempt, wall, finished_at, parent, callback
    )
    SELECT event_id, due_at, status, reason, origin, version, attempt, wall, finished_at, parent, told FROM closed
), telling AS (
    -- Half a second after what it tells of, and a microsecond for each attempt that this one had: computed, so that telling
    -- twice is telling once; the next that is free, if somebody has that one.
    SELECT c.event_id, free.due_at, c.finished_at, c.version, c.due_at AS parent, c.callback, c.payload
    FROM closed AS c JOIN LATERAL (
        SELECT c.due_at + interval '500 milliseconds' + (c.attempt + n) * interval '1 microsecond' AS due_at
        FROM generate_series(0, 50) AS n
        WHERE NOT EXISTS (
            SELECT FROM pending AS p WHERE p.event_id = c.event_id
                AND p.due_at = c.due_at + interval '500 milliseconds' + (c.attempt + n) * interval '1 microsecond'
        ) AND NOT EXISTS (
            SELECT FROM occurrences AS o WHERE o.event_id = c.event_id
                AND o.due_at = c.due_at + interval '500 milliseconds' + (c.attempt + n) * interval '1 microsecond'
        )
        ORDER BY n
        LIMIT 1
    ) AS free ON true
    WHERE c.callback IS NOT NULL
), told AS (
    INSERT INTO pending (event_id, due_at, fire_at, version, origin, parent, callback)
    SELECT event_id, due_at, finished_at, version, 'callback', parent, callback FROM telling
), carried AS (
    INSERT INTO occurrence_overrides (event_id, due_at, payload, created_at)
    SELECT event_id, due_at, payload::jsonb, finished_at FROM telling
), history AS (
    INSERT INTO attempts (
        event_id, due_at, attempt, version, outcome, reason, status_code, excerpt, started_at, finished_at
    )
    SELECT s.event_id, s.due_at, s.attempt, s.version, g.outcome, g.reason, g.status_code, g.excerpt,
        g.started_at, g.finished_at
    FROM settled AS s JOIN given AS g USING (event_id, due_at, fence)
    WHERE g.outcome IS NOT NULL
), tallied AS (
    INSERT INTO tallies (at, status, count)
    SELECT %(now)s, CASE status WHEN 'scheduled' THEN 'retried' ELSE status END, count(*) FROM settled
    WHERE NOT put_off
    GROUP BY status
)
SELECT event_id, due_at, status, fire_at FROM settled
UNION ALL
SELECT event_id, due_at, 'opened', finished_at FROM telling;

-- name: hold_ending
-- Events that seem to have nothing open and nothing left to expand, and which of them are held for this transaction. One
-- that somebody else holds may be given work just now.
WITH ending AS MATERIALIZED (
    SELECT e.id FROM events AS e
    WHERE e.id = ANY(%(event_ids)b::uuid[]) AND e.status = 'active' AND e.next_expand_at IS NULL
        AND NOT EXISTS (SELECT FROM pending AS p WHERE p.event_id = e.id)
), held AS (
    SELECT e.id FROM events AS e JOIN ending USING (id)
    ORDER BY e.id
    FOR UPDATE OF e SKIP LOCKED
)
SELECT ending.id, held.id IS NOT NULL FROM ending LEFT JOIN held USING (id);

-- name: complete_events
-- An event is completed when nothing is open and nothing is left to expand. Asked in a statement of its own, of what is held
-- and after what was settled last is committed: so it sees what was done before it was held.
UPDATE events AS e
SET status = 'completed', updated_at = %(now)s
WHERE e.id = ANY(%(event_ids)b::uuid[]) AND e.status = 'active' AND e.next_expand_at IS NULL
    AND NOT EXISTS (SELECT FROM pending AS p WHERE p.event_id = e.id)
RETURNING e.id, e.name, e.status, e.tags, e.version, e.updated_at;

-- name: hand_back
-- What was held and not started goes back as it was; the fence moves on so that nothing else can come of the claim.
UPDATE pending AS p
SET lease_until = NULL, worker = NULL, fence = nextval('fences'), losses = t.losses
FROM unnest(
    %(event_ids)b::uuid[], %(due_ats)b::timestamptz[], %(fences)b::bigint[], %(losses)b::int[]
) AS t (event_id, due_at, fence, losses)
WHERE p.event_id = t.event_id AND p.due_at = t.due_at AND p.fence = t.fence AND p.lease_until IS NOT NULL
RETURNING p.event_id, p.due_at, p.fire_at;

-- name: charge
-- Before the start of what has lost a worker: should this one die of it, that is on record by then. Fenced, so that what
-- was taken back meanwhile does not start at all.
UPDATE pending SET losses = losses + 1
WHERE event_id = %(event_id)s AND due_at = %(due_at)s AND fence = %(fence)s AND lease_until IS NOT NULL
RETURNING losses;

-- name: disclaim
-- What a claim took whose answer was lost. Its leases, to the microsecond, tell it from the other claims of the worker.
UPDATE pending
SET lease_until = NULL, worker = NULL, fence = nextval('fences')
WHERE worker = %(worker)s AND lease_until = ANY(%(leases)b::timestamptz[])
RETURNING event_id, due_at, fire_at;

-- name: call_back
-- What was put off, and waits for the very instant it was put off to: nobody has claimed or moved it meanwhile.
UPDATE pending AS p
SET fire_at = %(now)s
FROM unnest(%(event_ids)b::uuid[], %(due_ats)b::timestamptz[], %(fire_ats)b::timestamptz[]) AS t (event_id, due_at, fire_at)
WHERE p.event_id = t.event_id AND p.due_at = t.due_at AND p.fire_at = t.fire_at
    AND p.lease_until IS NULL AND p.blocked_on IS NULL
RETURNING p.event_id, p.due_at, p.fire_at;

-- name: reclaim
-- What a dead worker held, or a lease that ended, goes back to be claimed. The first loss is charged here, where the worker
-- may have been at it; the others when they start, see charge: so what was merely held is never charged again.
WITH lost AS (
    SELECT event_id, due_at FROM pending
    WHERE worker IS NOT NULL
        AND (
            lease_until < %(now)s
            OR worker IN (SELECT id FROM workers WHERE heartbeat_at < %(dead_before)s)
        )
    ORDER BY fire_at
    LIMIT %(limit)s
    FOR UPDATE SKIP LOCKED
)
UPDATE pending AS p
SET lease_until = NULL, worker = NULL, fence = nextval('fences'), losses = greatest(p.losses, (p.fire_at <= %(now)s)::int)
FROM lost AS l
WHERE p.event_id = l.event_id AND p.due_at = l.due_at
RETURNING p.event_id, p.due_at, p.fire_at;

-- name: find_overdue
-- Whatever was lost from the plan, for whatever reason. Keyset-paged by the caller.
SELECT p.event_id, p.due_at, p.fire_at
FROM pending AS p JOIN events AS e ON e.id = p.event_id
WHERE p.fire_at < %(before)s
    AND (p.fire_at, p.event_id, p.due_at) > (%(after_fire_at)s, %(after_event_id)s, %(after_due_at)s)
    AND p.lease_until IS NULL AND p.blocked_on IS NULL AND e.status IN ('active', 'completed', 'deleted')
ORDER BY p.fire_at, p.event_id, p.due_at
LIMIT %(limit)s;

-- name: list_free
-- Everything that belongs in the plan, in pages, to rebuild it.
SELECT event_id, due_at, fire_at FROM pending
WHERE (event_id, due_at) > (%(after_event_id)s, %(after_due_at)s)
    AND lease_until IS NULL AND blocked_on IS NULL
ORDER BY event_id, due_at
LIMIT %(limit)s;

-- name: count_open
-- What was changed by hand has a limit of its own: it may be open far ahead, and must not take the room of the others. Nor
-- must what waits for a client that is away: that has a limit of its own, too.
SELECT p.event_id, count(*) FROM pending AS p
WHERE p.event_id = ANY(%(event_ids)b::uuid[]) AND p.lease_until IS DISTINCT FROM 'infinity'
    AND NOT EXISTS (SELECT FROM occurrence_overrides AS o WHERE o.event_id = p.event_id AND o.due_at = p.due_at)
GROUP BY p.event_id;

-- name: ensure_day
SELECT ensure_ledger_day(day) FROM unnest(%(days)b::date[]) AS t (day);

-- name: register_worker
INSERT INTO workers (name, started_at, heartbeat_at) VALUES (%(name)s, %(now)s, %(now)s) RETURNING id;

-- name: beat
-- Returns nothing when the row is gone: this worker was taken for dead and must register anew.
UPDATE workers SET heartbeat_at = %(now)s WHERE id = %(worker)s RETURNING id;

-- name: retire_worker
DELETE FROM workers WHERE id = %(worker)s;

-- name: forget_workers
-- Workers that died long ago and hold nothing any more.
DELETE FROM workers AS w
WHERE w.heartbeat_at < %(before)s
    AND NOT EXISTS (SELECT FROM pending AS p WHERE p.worker = w.id AND p.lease_until IS NOT NULL);
