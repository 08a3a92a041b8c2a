-- Open and closed read as one: two branches, each walked in the order of its own index, merged and cut to a page. A filter
-- that is not asked for is a constant that the planner removes, which is why lists are never prepared.

-- name: list_occurrences
-- Newest due first.
WITH open AS (
    SELECT p.event_id, p.due_at,
        CASE WHEN p.lease_until IS NOT NULL AND p.fire_at <= %(begun)s THEN 'dispatched' ELSE 'scheduled' END AS status,
        p.blocked_on AS reason, p.origin, p.version, p.attempt, p.fire_at, p.wall, NULL::timestamptz AS finished_at,
        p.parent, p.callback
    FROM pending AS p
    WHERE (
            %(statuses)s::text[] IS NULL
            OR CASE WHEN p.lease_until IS NOT NULL AND p.fire_at <= %(begun)s THEN 'dispatched' ELSE 'scheduled' END
                = ANY(%(statuses)s::text[])
        )
        AND %(reason)s::text IS NULL -- none of them has one yet
        AND (%(event_id)s::uuid IS NULL OR p.event_id = %(event_id)s::uuid)
        AND (%(since)s::timestamptz IS NULL OR p.due_at >= %(since)s::timestamptz)
        AND (%(until)s::timestamptz IS NULL OR p.due_at < %(until)s::timestamptz)
        AND (%(before_due_at)s::timestamptz IS NULL OR p.due_at <= %(before_due_at)s::timestamptz)
        AND (
            %(before_due_at)s::timestamptz IS NULL
            OR (p.due_at, p.event_id) < (%(before_due_at)s::timestamptz, %(before_event_id)s::uuid)
        )
        AND (
            NOT %(by_event)s::boolean
            OR EXISTS (
                SELECT FROM events AS e
                WHERE e.id = p.event_id
                    AND (%(scope)s::text[] IS NULL OR e.tags && %(scope)s::text[])
                    AND (%(any_tags)s::text[] IS NULL OR e.tags && %(any_tags)s::text[])
                    AND (%(all_tags)s::text[] IS NULL OR e.tags @> %(all_tags)s::text[])
            )
        )
    ORDER BY p.due_at DESC, p.event_id DESC
    LIMIT %(limit)s
), closed AS (
    SELECT o.event_id, o.due_at, o.status, o.reason, o.origin, o.version, o.attempt, NULL::timestamptz AS fire_at,
        o.wall, o.finished_at, o.parent, o.callback
    FROM occurrences AS o
    WHERE (%(statuses)s::text[] IS NULL OR o.status = ANY(%(statuses)s::text[]))
        AND (%(reason)s::text IS NULL OR strpos(lower(o.reason), lower(%(reason)s::text)) > 0)
        AND (%(event_id)s::uuid IS NULL OR o.event_id = %(event_id)s::uuid)
        AND (%(since)s::timestamptz IS NULL OR o.due_at >= %(since)s::timestamptz)
        AND (%(until)s::timestamptz IS NULL OR o.due_at < %(until)s::timestamptz)
        AND (%(before_due_at)s::timestamptz IS NULL OR o.due_at <= %(before_due_at)s::timestamptz)
        AND (
            %(before_due_at)s::timestamptz IS NULL
            OR (o.due_at, o.event_id) < (%(before_due_at)s::timestamptz, %(before_event_id)s::uuid)
        )
        AND (
            NOT %(by_event)s::boolean
            OR EXISTS (
                SELECT FROM events AS e
                WHERE e.id = o.event_id
                    AND (%(scope)s::text[] IS NULL OR e.tags && %(scope)s::text[])
                    AND (%(any_tags)s::text[] IS NULL OR e.tags && %(any_tags)s::text[])
                    AND (%(all_tags)s::text[] IS NULL OR e.tags @> %(all_tags)s::text[])
            )
        )
    ORDER BY o.due_at DESC, o.event_id DESC
    LIMIT %(limit)s
)
SELECT page.*, v.move_to
FROM (
    SELECT * FROM open UNION ALL SELECT * FROM closed
    ORDER BY due_at DESC, event_id DESC
    LIMIT %(limit)s
) AS page
LEFT JOIN occurrence_overrides AS v USING (event_id, due_at)
ORDER BY page.due_at DESC, page.event_id DESC;

-- name: get_occurrence
SELECT found.*, v.move_to
FROM (
    SELECT p.event_id, p.due_at,
        CASE WHEN p.lease_until IS NOT NULL AND p.fire_at <= %(begun)s THEN 'dispatched' ELSE 'scheduled' END AS status,
        p.blocked_on AS reason, p.origin, p.version, p.attempt, p.fire_at, p.wall, NULL::timestamptz AS finished_at,
        p.parent, p.callback
    FROM pending AS p
    WHERE p.event_id = %(event_id)s AND p.due_at = %(due_at)s
        AND (
            %(scope)s::text[] IS NULL
            OR EXISTS (SELECT FROM events AS e WHERE e.id = p.event_id AND e.tags && %(scope)s::text[])
        )
    UNION ALL
    SELECT o.event_id, o.due_at, o.status, o.reason, o.origin, o.version, o.attempt, NULL, o.wall, o.finished_at,
        o.parent, o.callback
    FROM occurrences AS o
    WHERE o.event_id = %(event_id)s AND o.due_at = %(due_at)s
        AND (
            %(scope)s::text[] IS NULL
            OR EXISTS (SELECT FROM events AS e WHERE e.id = o.event_id AND e.tags && %(scope)s::text[])
        )
) AS found
LEFT JOIN occurrence_overrides AS v USING (event_id, due_at);

-- name: list_attempts
SELECT attempt, outcome, status_code, reason, excerpt, version, started_at, finished_at
FROM attempts
WHERE event_id = %(event_id)s AND due_at = %(due_at)s AND attempt > %(after)s
ORDER BY attempt
LIMIT %(limit)s;

-- name: find_closed
-- What a replay by filter would take, oldest first.
SELECT o.event_id, o.due_at
FROM occurrences AS o JOIN events AS e ON e.id = o.event_id
WHERE o.status = ANY(%(statuses)s::text[])
    AND (%(reason)s::text IS NULL OR strpos(lower(o.reason), lower(%(reason)s::text)) > 0)
    AND e.status IN ('active', 'completed', 'paused')
    AND (%(event_id)s::uuid IS NULL OR o.event_id = %(event_id)s::uuid)
    AND (%(since)s::timestamptz IS NULL OR o.due_at >= %(since)s::timestamptz)
    AND (%(until)s::timestamptz IS NULL OR o.due_at < %(until)s::timestamptz)
    AND (%(scope)s::text[] IS NULL OR e.tags && %(scope)s::text[])
    AND (%(any_tags)s::text[] IS NULL OR e.tags && %(any_tags)s::text[])
    AND (%(all_tags)s::text[] IS NULL OR e.tags @> %(all_tags)s::text[])
ORDER BY o.due_at, o.event_id
LIMIT %(limit)s;

-- name: drop_failed
-- Dead letters that nobody will replay: they stay in the ledger, as called off.
UPDATE occurrences AS o SET status = 'cancelled', reason = %(reason)s
FROM unnest(%(event_ids)b::uuid[], %(due_ats)b::timestamptz[]) AS t (event_id, due_at)
WHERE o.event_id = t.event_id AND o.due_at = t.due_at AND o.status = 'failed'
RETURNING o.event_id;
