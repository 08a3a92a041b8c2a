-- Every count here stops at a limit, so that none costs more than the limit however big the tables are.

-- name: count_events
-- One walk over at most `limit` events says how many of each status there are, or that there are more.
SELECT status, count(*)
FROM (
    SELECT status FROM events
    WHERE deleted_at IS NULL AND (%(scope)s::text[] IS NULL OR tags && %(scope)s::text[])
    LIMIT %(limit)s
) AS counted
GROUP BY status;

-- name: count_open
-- Each count has an index of its own to walk.
SELECT
    (SELECT count(*) FROM (SELECT FROM pending WHERE lease_until IS NULL LIMIT %(limit)s) AS a) AS scheduled,
    (SELECT count(*) FROM (SELECT FROM pending WHERE lease_until IS NOT NULL LIMIT %(limit)s) AS b) AS dispatched,
    (SELECT count(*) FROM (
        SELECT FROM pending WHERE fire_at < %(overdue)s AND lease_until IS NULL AND blocked_on IS NULL LIMIT %(limit)s
    ) AS c) AS overdue;

-- name: count_open_in_scope
-- From the events of the scope, which are few, to their open occurrences.
SELECT
    count(*) FILTER (WHERE lease_until IS NULL) AS scheduled,
    count(*) FILTER (WHERE lease_until IS NOT NULL) AS dispatched,
    count(*) FILTER (WHERE fire_at < %(overdue)s AND lease_until IS NULL AND blocked_on IS NULL) AS overdue
FROM (
    SELECT p.lease_until, p.fire_at, p.blocked_on
    FROM (
        SELECT id FROM events WHERE deleted_at IS NULL AND tags && %(scope)s::text[] LIMIT %(limit)s
    ) AS seen
    JOIN pending AS p ON p.event_id = seen.id
    LIMIT %(limit)s
) AS counted;

-- name: sum_closed
-- One row a minute and status, once the janitor has folded them.
SELECT status, coalesce(sum(count) FILTER (WHERE at >= %(hour)s), 0)::bigint AS last_hour, sum(count)::bigint AS last_day
FROM tallies
WHERE at >= %(day)s
GROUP BY status;
