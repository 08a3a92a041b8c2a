-- Occurrences that take turns. A lane is held by what is under way in it and by what was begun and waits to be tried
-- again, or had its turn and was put off (both have `meant_at`); `limit` of them at once. Whoever decides about a lane
-- holds its advisory lock.

-- name: lock_lanes
SELECT pg_advisory_xact_lock(hashtextextended(lane, 0)) FROM unnest(%(lanes)b::text[]) AS t (lane);

-- name: claim_in_lanes
-- Of everything that is due in these lanes: the first that have room are claimed, as is what has its place already; what
-- must wait is blocked until there is room; what is not to wait is claimed as well, to be skipped.
WITH open AS (
    SELECT p.event_id, p.due_at, e.lane, coalesce(e.policies ->> 'overlap', 'allow') AS overlap,
        coalesce(p.meant_at, p.fire_at) AS meant_at, p.fire_at <= %(now)s AND p.lease_until IS NULL AS due,
        p.lease_until IS NOT NULL OR p.meant_at IS NOT NULL AS holds,
        min(e.lane_limit) OVER (PARTITION BY e.lane) AS room
    FROM events AS e JOIN pending AS p ON p.event_id = e.id AND p.version <= e.version
    WHERE e.lane = ANY(%(lanes)b::text[]) AND e.status IN ('active', 'completed', 'deleted')
        AND p.blocked_on IS DISTINCT FROM 'paused' AND p.callback IS NULL
        AND (p.fire_at <= %(now)s OR p.lease_until IS NOT NULL OR p.meant_at IS NOT NULL)
), placed AS (
    SELECT *, room - count(*) FILTER (WHERE holds) OVER (PARTITION BY lane) AS free,
        row_number() OVER (PARTITION BY lane, holds ORDER BY meant_at, due_at, event_id) AS place
    FROM open
), judged AS (
    SELECT event_id, due_at,
        CASE
            WHEN holds OR place <= free THEN 'go'
            WHEN overlap = 'skip' OR (overlap = 'queue_one' AND place > greatest(free, 0) + 1) THEN 'skip'
            ELSE 'wait'
        END AS verdict
    FROM placed WHERE due
), picked AS (
    SELECT j.event_id, j.due_at, j.verdict
    FROM judged AS j JOIN pending AS p USING (event_id, due_at)
    WHERE p.lease_until IS NULL AND p.blocked_on IS DISTINCT FROM 'paused'
    ORDER BY j.event_id, j.due_at
    FOR UPDATE OF p SKIP LOCKED
), waiting AS (
    UPDATE pending AS p SET blocked_on = 'lane'
    FROM picked AS k
    WHERE p.event_id = k.event_id AND p.due_at = k.due_at AND k.verdict = 'wait' AND p.blocked_on IS NULL
)
UPDATE pending AS p
SET version = e.version, fence = nextval('fences'), lease_until = %(lease_until)s, worker = %(worker)s, blocked_on = NULL
FROM picked AS k
JOIN events AS e ON e.id = k.event_id
LEFT JOIN occurrence_overrides AS o ON o.event_id = k.event_id AND o.due_at = k.due_at
WHERE p.event_id = k.event_id AND p.due_at = k.due_at AND k.verdict <> 'wait'
RETURNING
    p.event_id, p.due_at, p.fire_at, p.version, p.origin, p.attempt, p.starts, p.losses, p.fence,
    coalesce(p.meant_at, p.fire_at) AS meant_at, p.callback, p.fallback, p.handed_at AS handed_first_at,
    e.name, e.description, e.action, e.tags, e.policies,
    e.hmac_secret AS hmac_plain, e.hmac_sealed, e.hmac_previous, e.hmac_previous_until, e.headers_sealed,
    coalesce(o.payload, e.metadata) AS metadata, e.status = 'deleted' AS orphaned,
    e.lane, k.verdict = 'skip' AS overlapping;

-- name: free_lanes
-- Lets in as many as there is room for, in the order of their turns. Who claims them judges anew.
WITH open AS (
    SELECT p.event_id, p.due_at, e.lane, coalesce(p.meant_at, p.fire_at) AS meant_at, p.blocked_on = 'lane' AS waits,
        p.lease_until IS NOT NULL OR p.meant_at IS NOT NULL AS holds,
        min(e.lane_limit) OVER (PARTITION BY e.lane) AS room
    FROM events AS e JOIN pending AS p ON p.event_id = e.id
    WHERE e.lane = ANY(%(lanes)b::text[]) AND e.status IN ('active', 'completed', 'deleted')
        AND p.callback IS NULL AND (p.blocked_on = 'lane' OR p.lease_until IS NOT NULL OR p.meant_at IS NOT NULL)
), placed AS (
    SELECT *, room - count(*) FILTER (WHERE holds) OVER (PARTITION BY lane) AS free,
        row_number() OVER (PARTITION BY lane, holds ORDER BY meant_at, due_at, event_id) AS place
    FROM open
)
UPDATE pending AS p SET blocked_on = NULL
FROM placed AS f
WHERE p.event_id = f.event_id AND p.due_at = f.due_at AND p.blocked_on = 'lane'
    AND f.waits AND (f.holds OR f.place <= f.free)
RETURNING p.event_id, p.due_at, p.fire_at;

-- name: free_stray
-- What waits in a lane that its event has left.
UPDATE pending AS p SET blocked_on = NULL
FROM events AS e
WHERE p.blocked_on = 'lane' AND e.id = p.event_id AND e.lane IS NULL
RETURNING p.event_id, p.due_at, p.fire_at;

-- name: list_waited_in
SELECT DISTINCT e.lane FROM pending AS p JOIN events AS e ON e.id = p.event_id
WHERE p.blocked_on = 'lane'
LIMIT %(limit)s;
