-- name: try_lead
-- One janitor works at a time; the lock ends with the transaction, so a dead one holds nothing up.
SELECT pg_try_advisory_xact_lock(hashtext('qhronos.janitor'));

-- name: make_days_ahead
SELECT ensure_ledger_day(day::date)
FROM generate_series(%(today)s::date, %(today)s::date + 2, interval '1 day') AS t (day);

-- name: list_old_days
-- Partitions of the ledger that lie wholly before a day, those too that were detached and not yet dropped. What can fire is
-- never here: open rows are in `pending`.
SELECT c.relname, p.relname, i.inhdetachpending
FROM pg_class AS c
LEFT JOIN pg_inherits AS i ON i.inhrelid = c.oid
LEFT JOIN pg_class AS p ON p.oid = i.inhparent
WHERE c.relkind = 'r' AND pg_table_is_visible(c.oid)
    AND c.relname ~ '^(occurrences|attempts)_\d{4}_\d{2}_\d{2}$'
    AND to_date(right(c.relname, 10), 'YYYY_MM_DD') < %(before)s::date
ORDER BY c.relname;

-- name: purge_past_attempts
DELETE FROM attempts_past AS a USING occurrences_past AS o
WHERE o.event_id = a.event_id AND o.due_at = a.due_at AND o.finished_at < %(before)s;

-- name: purge_past_occurrences
DELETE FROM occurrences_past WHERE finished_at < %(before)s;

-- name: fold_tallies
-- Settlements append a row each; past minutes are folded to one row for each status.
WITH folded AS (
    DELETE FROM tallies
    WHERE at < date_trunc('minute', %(now)s::timestamptz)
        AND at >= date_trunc('minute', %(now)s::timestamptz) - interval '1 hour'
    RETURNING at, status, count
)
INSERT INTO tallies (at, status, count)
SELECT date_trunc('minute', at), status, sum(count) FROM folded GROUP BY 1, 2;

-- name: purge_tallies
DELETE FROM tallies WHERE at < %(before)s;

-- name: purge_idempotency_keys
DELETE FROM idempotency_keys WHERE created_at < %(before)s;

-- name: purge_audit
DELETE FROM audit WHERE at < %(before)s;

-- name: purge_tokens
DELETE FROM tokens WHERE expires_at < %(before)s;

-- name: hold_ended_events
-- What settlements and expanders left that ended at the same instant. Held first and looked at again by the statement that
-- completes them: whoever holds one now may be giving it work.
SELECT e.id FROM events AS e
WHERE e.status = 'active' AND e.next_expand_at IS NULL
    AND NOT EXISTS (SELECT FROM pending AS p WHERE p.event_id = e.id)
FOR UPDATE SKIP LOCKED;

-- name: purge_events
-- Events that ended long ago, with what says what they once promised. Nothing of theirs is open.
WITH gone AS (
    DELETE FROM events AS e
    WHERE e.status IN ('completed', 'deleted') AND e.updated_at < %(before)s
        AND NOT EXISTS (SELECT FROM pending AS p WHERE p.event_id = e.id)
    RETURNING e.id
), versions AS (
    DELETE FROM event_versions AS v USING gone AS g WHERE v.event_id = g.id
), overrides AS (
    DELETE FROM occurrence_overrides AS o USING gone AS g WHERE o.event_id = g.id
)
DELETE FROM gaps USING gone AS g WHERE gaps.event_id = g.id;

-- name: find_oldest_overdue
SELECT min(fire_at) FROM pending WHERE fire_at < %(now)s AND lease_until IS NULL AND blocked_on IS NULL;
