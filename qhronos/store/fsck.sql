-- What must hold, asked for as what breaks it. Each statement says how many rows do (`total`) and shows the first of them;
-- its name is the name of the check. Of what is closed only what is younger than retention is looked at.

-- name: take_time
-- For this transaction: all of these read whole tables.
SELECT set_config('statement_timeout', '30min', true);

-- name: unknown_event
SELECT count(*) OVER () AS total, p.event_id, p.due_at, NULL::text AS note
FROM pending AS p
WHERE NOT EXISTS (SELECT FROM events AS e WHERE e.id = p.event_id)
ORDER BY p.event_id, p.due_at
LIMIT %(most)s;

-- name: unknown_version
SELECT count(*) OVER () AS total, one.event_id, one.due_at, 'version ' || one.version || ' of ' || e.version AS note
FROM (
    SELECT event_id, due_at, version FROM pending
    UNION ALL
    SELECT event_id, due_at, version FROM occurrences WHERE due_at >= %(since)s
) AS one
JOIN events AS e ON e.id = one.event_id
LEFT JOIN event_versions AS v ON v.event_id = one.event_id AND v.version = one.version
WHERE v.version IS NULL OR one.version > e.version
ORDER BY one.event_id, one.due_at
LIMIT %(most)s;

-- name: open_and_closed
-- A replay moves a row; nothing leaves it in both.
SELECT count(*) OVER () AS total, p.event_id, p.due_at, o.status AS note
FROM pending AS p JOIN occurrences AS o USING (event_id, due_at)
ORDER BY p.event_id, p.due_at
LIMIT %(most)s;

-- name: half_held
-- Lease, worker and fence come together. A lease that has ended is the reaper's; one without end is a client's, not a worker's.
SELECT count(*) OVER () AS total, event_id, due_at,
    concat_ws(', ', 'lease ' || lease_until, 'worker ' || worker, 'fence ' || fence) AS note
FROM pending
WHERE (lease_until IS NULL OR lease_until = 'infinity') <> (worker IS NULL) OR (lease_until IS NOT NULL AND fence IS NULL)
ORDER BY event_id, due_at
LIMIT %(most)s;

-- name: unkept
-- What is handed to a client is in its outbox under the same fence, and nothing else is.
SELECT count(*) OVER () AS total, coalesce(p.event_id, o.event_id) AS event_id, coalesce(p.due_at, o.due_at) AS due_at,
    CASE WHEN o.client IS NULL THEN 'in no outbox' ELSE 'message ' || o.seq || ' for ' || o.client END AS note
FROM (SELECT event_id, due_at, fence FROM pending WHERE lease_until = 'infinity') AS p
FULL JOIN outbox AS o ON o.event_id = p.event_id AND o.due_at = p.due_at AND o.fence = p.fence
WHERE p.event_id IS NULL OR o.event_id IS NULL
ORDER BY 2, 3
LIMIT %(most)s;

-- name: unreturned
-- What nobody acknowledged in time is taken back from its client.
SELECT count(*) OVER () AS total, o.event_id, o.due_at,
    'message ' || o.seq || ' for ' || o.client || ' since ' || o.fallback_at AS note
FROM outbox AS o
WHERE o.fallback_at < %(late)s
ORDER BY o.fallback_at, o.event_id, o.due_at
LIMIT %(most)s;

-- name: shared_fence
SELECT count(*) OVER () AS total, event_id, due_at, 'fence ' || fence AS note
FROM (
    SELECT event_id, due_at, fence, count(*) OVER (PARTITION BY fence) AS holders FROM pending WHERE fence IS NOT NULL
) AS fenced
WHERE holders > 1
ORDER BY fence, event_id, due_at
LIMIT %(most)s;

-- name: stranded
-- Resuming unblocks; what is left blocked is never claimed.
SELECT count(*) OVER () AS total, p.event_id, p.due_at, 'the event is ' || e.status AS note
FROM pending AS p JOIN events AS e ON e.id = p.event_id
WHERE p.blocked_on = 'paused' AND e.status <> 'paused'
ORDER BY p.event_id, p.due_at
LIMIT %(most)s;

-- name: unreasoned
SELECT count(*) OVER () AS total, event_id, due_at, status AS note
FROM occurrences
WHERE due_at >= %(since)s
    AND CASE status WHEN 'completed' THEN attempt < 1 ELSE coalesce(reason, '') = '' END
ORDER BY event_id, due_at
LIMIT %(most)s;

-- name: wrong_attempts
-- The number of the last attempt is how many there are, and what is completed was taken. What is replayed may expire: then
-- it has failed although it was taken once.
WITH tried AS (
    SELECT event_id, due_at, count(*) AS attempts, max(attempt) AS last,
        (array_agg(outcome ORDER BY attempt DESC))[1] AS outcome
    FROM attempts
    WHERE due_at >= %(since)s
    GROUP BY event_id, due_at
)
SELECT count(*) OVER () AS total, one.event_id, one.due_at,
    format('%%s, attempt %%s; recorded %%s, the last %%s', one.status, one.attempt, coalesce(t.attempts, 0),
        coalesce(t.outcome, 'none')) AS note
FROM (
    SELECT event_id, due_at, 'open' AS status, attempt FROM pending WHERE due_at >= %(since)s
    UNION ALL
    SELECT event_id, due_at, status, attempt FROM occurrences WHERE due_at >= %(since)s
) AS one
LEFT JOIN tried AS t USING (event_id, due_at)
WHERE one.attempt <> coalesce(t.attempts, 0) OR one.attempt <> coalesce(t.last, 0)
    OR (one.status = 'completed' AND t.outcome <> 'delivered')
ORDER BY one.event_id, one.due_at
LIMIT %(most)s;

-- name: too_many_attempts
-- By the most generous of the versions: what was begun goes on as the event says later. A fallback is tried once at least.
SELECT count(*) OVER () AS total, p.event_id, p.due_at, format('%%s of at most %%s', p.starts, allowed.most) AS note
FROM pending AS p
CROSS JOIN LATERAL (
    SELECT max(coalesce((v.policies #>> '{retry,max_attempts}')::int, %(max_attempts)s::int)) AS most
    FROM event_versions AS v WHERE v.event_id = p.event_id
) AS allowed
WHERE p.starts > 0 AND p.starts + (p.lease_until IS NULL)::int > allowed.most + p.fallback::int
ORDER BY p.event_id, p.due_at
LIMIT %(most)s;

-- name: completed_but_open
SELECT count(*) OVER () AS total, p.event_id, p.due_at, NULL::text AS note
FROM pending AS p JOIN events AS e ON e.id = p.event_id
WHERE e.status = 'completed'
ORDER BY p.event_id, p.due_at
LIMIT %(most)s;

-- name: deleted_but_open
-- What had started when its event was deleted comes to its end, and may have that told; nothing else is left.
SELECT count(*) OVER () AS total, p.event_id, p.due_at, NULL::text AS note
FROM pending AS p JOIN events AS e ON e.id = p.event_id
WHERE e.status = 'deleted' AND p.starts = 0 AND coalesce(p.meant_at, p.fire_at) > e.deleted_at AND p.origin <> 'callback'
ORDER BY p.event_id, p.due_at
LIMIT %(most)s;

-- name: wrong_version
-- What an event promises now is its last version; one that is deleted promises nothing.
SELECT count(*) OVER () AS total, e.id AS event_id, NULL::timestamptz AS due_at,
    CASE WHEN v.version IS NULL THEN 'version ' || e.version || ' is not recorded'
        ELSE 'version ' || e.version || ' is recorded otherwise' END AS note
FROM events AS e
LEFT JOIN event_versions AS v ON v.event_id = e.id AND v.version = e.version
WHERE v.version IS NULL OR (v.valid_until IS NULL) = (e.status = 'deleted') OR v.recurrence <> e.recurrence
ORDER BY e.id
LIMIT %(most)s;

-- name: broken_versions
-- One version ends where the next begins.
SELECT count(*) OVER () AS total, event_id, NULL::timestamptz AS due_at, 'version ' || version AS note
FROM (
    SELECT event_id, version, valid_until, lead(version) OVER later AS next_version,
        lead(valid_from) OVER later AS next_from
    FROM event_versions
    WINDOW later AS (PARTITION BY event_id ORDER BY version)
) AS v
WHERE next_version IS NOT NULL AND (next_version <> version + 1 OR valid_until IS DISTINCT FROM next_from)
ORDER BY event_id, version
LIMIT %(most)s;

-- name: wrong_gap
-- A gap lies behind the cursor. Of a single instant the cursor may go back.
SELECT count(*) OVER () AS total, g.event_id, g.since AS due_at,
    concat_ws(' ', g.count, 'instants until', g.until, '·', g.reason) AS note
FROM gaps AS g LEFT JOIN events AS e ON e.id = g.event_id
WHERE e.id IS NULL OR g.since >= g.until OR g.count < 0 OR (
    e.status = 'active' AND g.until > e.expanded_until
    AND NOT (e.recurrence ->> 'rrule' = '[]' AND e.recurrence ->> 'rdate' = '[]')
)
ORDER BY g.event_id, g.since
LIMIT %(most)s;

-- name: overdue
-- Free and not claimed, or held by nobody who lives, for longer than it takes to take it back.
SELECT count(*) OVER () AS total, p.event_id, p.due_at,
    CASE WHEN p.lease_until IS NULL THEN 'free since ' || p.fire_at ELSE 'its lease ended ' || p.lease_until END AS note
FROM pending AS p JOIN events AS e ON e.id = p.event_id
WHERE p.lease_until < %(late)s OR (
    p.lease_until IS NULL AND p.fire_at < %(late)s AND p.blocked_on IS NULL
    AND e.status IN ('active', 'completed', 'deleted')
)
ORDER BY p.fire_at, p.event_id, p.due_at
LIMIT %(most)s;

-- name: unexpanded
-- Instants that nobody makes although they are due; an event that has as many open ones as it may waits for them.
SELECT count(*) OVER () AS total, e.id AS event_id, coalesce(e.next_due_at, e.expanded_until) AS due_at,
    'expanded until ' || e.expanded_until AS note
FROM events AS e
WHERE e.status = 'active' AND e.next_expand_at IS NOT NULL AND coalesce(e.next_due_at, e.expanded_until) < %(late)s
    AND (
        SELECT count(*) FROM pending AS p WHERE p.event_id = e.id AND p.lease_until IS DISTINCT FROM 'infinity'
    ) < %(max_open)s
ORDER BY e.id
LIMIT %(most)s;

-- name: sample_events
SELECT id FROM events ORDER BY random() LIMIT %(limit)s;

-- name: find_still_due
-- Of entries that the plan lacked, those that nobody has touched since.
SELECT p.event_id, p.due_at, p.fire_at
FROM unnest(%(event_ids)b::uuid[], %(due_ats)b::timestamptz[], %(fire_ats)b::timestamptz[]) AS t (event_id, due_at, fire_at)
JOIN pending AS p USING (event_id, due_at, fire_at)
JOIN events AS e ON e.id = p.event_id
WHERE p.lease_until IS NULL AND p.blocked_on IS NULL AND e.status IN ('active', 'completed', 'deleted');

-- name: find_open
SELECT p.event_id, p.due_at
FROM unnest(%(event_ids)b::uuid[], %(due_ats)b::timestamptz[]) AS t (event_id, due_at)
JOIN pending AS p USING (event_id, due_at);
