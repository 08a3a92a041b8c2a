-- Versions such as 2026f are in the order of their bytes. The statements on events name the statuses of `events_tzdata`.

-- name: look_apart
-- One look at each end of the index, which is all it costs if everybody has followed. By the ends, because whether there is
-- one that is older was asked of the whole table: of a version not known yet the planner believes that a third is.
SELECT
    coalesce(min(tzdata COLLATE "C") < %(tzdata)s, false) AS behind,
    coalesce(max(tzdata COLLATE "C") > %(tzdata)s, false) AS ahead
FROM events
WHERE status IN ('active', 'paused');

-- name: find_behind
-- Those first whose time to expand has come, as nobody expands them before.
WITH due AS (
    SELECT id FROM events
    WHERE status = 'active' AND next_expand_at <= %(now)s AND tzdata COLLATE "C" < %(tzdata)s
    ORDER BY next_expand_at
    LIMIT %(limit)s
), others AS (
    SELECT id FROM events
    WHERE status IN ('active', 'paused') AND tzdata COLLATE "C" < %(tzdata)s
    ORDER BY tzdata COLLATE "C"
    LIMIT %(limit)s
)
SELECT id, version, recurrence, start_time, tzdata
FROM events
WHERE id IN (SELECT id FROM due UNION SELECT id FROM others)
LIMIT %(limit)s;

-- name: hold_behind
-- What another one is at is skipped, and what was changed since it was found.
SELECT e.id, e.expanded_until, e.next_due_at
FROM events AS e JOIN unnest(%(ids)b::uuid[], %(versions)b::int[]) AS t (id, version) USING (id, version)
WHERE e.status IN ('active', 'paused') AND e.tzdata COLLATE "C" < %(tzdata)s
ORDER BY e.id
FOR UPDATE OF e SKIP LOCKED;

-- name: list_made
-- What the rule of each has made, from an instant on; `free`: open, and nobody can have begun by `soon`.
SELECT p.event_id, p.due_at, p.wall, p.starts = 0 AND p.fire_at > %(soon)s AND p.due_at > %(soon)s AS free
FROM pending AS p
WHERE p.event_id = ANY(%(ids)b::uuid[]) AND p.due_at >= %(since)s AND p.origin IN ('rule', 'once')
UNION ALL
SELECT o.event_id, o.due_at, o.wall, false
FROM occurrences AS o
WHERE o.event_id = ANY(%(ids)b::uuid[]) AND o.due_at >= %(since)s AND o.origin IN ('rule', 'once');

-- name: stamp
UPDATE events SET tzdata = %(tzdata)s WHERE id = ANY(%(ids)b::uuid[]);

-- name: take_moved
-- Rows that leave their instants, with what was changed of them by hand. One that has begun meanwhile stays.
WITH gone AS (
    DELETE FROM pending AS p USING unnest(%(due_ats)b::timestamptz[]) AS t (due_at)
    WHERE p.event_id = %(event_id)s AND p.due_at = t.due_at AND p.starts = 0 AND p.fire_at > %(now)s
    RETURNING p.due_at, p.lease_until IS NOT NULL AS held
), changed AS (
    DELETE FROM occurrence_overrides AS o USING gone AS g
    WHERE o.event_id = %(event_id)s AND o.due_at = g.due_at
    RETURNING o.due_at, o.move_to, o.payload
)
SELECT g.due_at, g.held, c.move_to, c.payload::text FROM gone AS g LEFT JOIN changed AS c USING (due_at);

-- name: put_moved
-- Where they are now. A paused event's stay blocked.
WITH given AS (
    SELECT * FROM unnest(
        %(due_ats)b::timestamptz[], %(walls)b::timestamp[], %(move_tos)b::timestamptz[], %(payloads)b::text[]
    ) AS t (due_at, wall, move_to, payload)
), changed AS (
    INSERT INTO occurrence_overrides (event_id, due_at, move_to, payload, created_at)
    SELECT %(event_id)s, due_at, move_to, payload::jsonb, %(now)s FROM given
    WHERE move_to IS NOT NULL OR payload IS NOT NULL
    ON CONFLICT (event_id, due_at) DO UPDATE SET move_to = EXCLUDED.move_to, payload = EXCLUDED.payload
)
INSERT INTO pending (event_id, due_at, fire_at, version, origin, wall, blocked_on)
SELECT %(event_id)s, due_at, coalesce(move_to, due_at), %(version)s, %(origin)s, wall, %(blocked_on)s
FROM given
ON CONFLICT (event_id, due_at) DO NOTHING
RETURNING event_id, due_at, fire_at;

-- name: record_changes
INSERT INTO tzdata_changes (at, event_id, was, became, change, wall, before, after)
SELECT %(now)s, %(event_id)s, %(was)s, %(became)s, change, wall, before, after
FROM unnest(
    %(changes)b::text[], %(walls)b::timestamp[], %(befores)b::timestamptz[], %(afters)b::timestamptz[]
) AS t (change, wall, before, after);

-- name: list_changes
SELECT c.id, c.at, c.event_id, e.name AS event_name, e.timezone, c.was, c.became, c.change, c.wall, c.before, c.after
FROM tzdata_changes AS c JOIN events AS e ON e.id = c.event_id
WHERE (%(older_than)s::bigint IS NULL OR c.id < %(older_than)s::bigint)
    AND (%(event_id)s::uuid IS NULL OR c.event_id = %(event_id)s::uuid)
    AND (%(since)s::timestamptz IS NULL OR c.at >= %(since)s::timestamptz)
    AND (%(scope)s::text[] IS NULL OR e.tags && %(scope)s::text[])
ORDER BY c.id DESC
LIMIT %(limit)s;

-- name: count_apart
-- Each end of the index by itself: what has our rules, which is nearly everything, is not looked at.
SELECT
    (SELECT count(*) FROM events WHERE status IN ('active', 'paused') AND tzdata COLLATE "C" < %(tzdata)s),
    (SELECT count(*) FROM events WHERE status IN ('active', 'paused') AND tzdata COLLATE "C" > %(tzdata)s);

-- name: adopt
-- Brackets come before digits: what follows older rules on purpose is behind them at first.
UPDATE events SET tzdata = '(' || tzdata || ')'
WHERE status IN ('active', 'paused') AND tzdata COLLATE "C" > %(tzdata)s;
