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

-- name: purge_past
-- A batch of what was due before the installation, with its attempts.
WITH old AS (
    DELETE FROM occurrences_past
    WHERE ctid = ANY(ARRAY(SELECT ctid FROM occurrences_past WHERE finished_at < %(before)s LIMIT %(limit)s))
    RETURNING event_id, due_at
), tried AS (
    DELETE FROM attempts_past AS a USING old AS o WHERE a.event_id = o.event_id AND a.due_at = o.due_at
)
SELECT count(*) FROM old;

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
-- A batch; by the identity, which grows with time.
WITH old AS (
    DELETE FROM audit WHERE id = ANY(ARRAY(SELECT id FROM audit WHERE at < %(before)s ORDER BY at LIMIT %(limit)s))
    RETURNING id
)
SELECT count(*) FROM old;

-- name: purge_tzdata_changes
-- A batch. What became of an event goes with it; of one that goes on it has been told long enough.
WITH old AS (
    DELETE FROM tzdata_changes
    WHERE id = ANY(ARRAY(SELECT id FROM tzdata_changes WHERE at < %(before)s ORDER BY at LIMIT %(limit)s))
    RETURNING 1
)
SELECT count(*) FROM old;

-- name: purge_tokens
DELETE FROM tokens WHERE expires_at < %(before)s;

-- name: hold_ended_events
-- What settlements and expanders left that ended at the same instant. Held first and looked at again by the statement that
-- completes them: whoever holds one now may be giving it work. A batch, so that nobody who edits one waits for many others.
SELECT e.id FROM events AS e
WHERE e.status = 'active' AND e.next_expand_at IS NULL
    AND NOT EXISTS (SELECT FROM pending AS p WHERE p.event_id = e.id)
LIMIT %(limit)s
FOR UPDATE SKIP LOCKED;

-- name: purge_events
-- A batch of events that ended long ago, with what says what they once promised. Nothing of theirs is open.
WITH ended AS (
    SELECT e.id FROM events AS e
    WHERE e.status IN ('completed', 'deleted') AND e.updated_at < %(before)s
        AND NOT EXISTS (SELECT FROM pending AS p WHERE p.event_id = e.id)
    ORDER BY e.updated_at
    LIMIT %(limit)s
    FOR UPDATE OF e SKIP LOCKED
), gone AS (
    DELETE FROM events AS e USING ended WHERE e.id = ended.id RETURNING e.id
), versions AS (
    DELETE FROM event_versions AS v USING gone AS g WHERE v.event_id = g.id
), overrides AS (
    DELETE FROM occurrence_overrides AS o USING gone AS g WHERE o.event_id = g.id
), missing AS (
    DELETE FROM gaps USING gone AS g WHERE gaps.event_id = g.id
), moves AS (
    DELETE FROM tzdata_changes AS c USING gone AS g WHERE c.event_id = g.id
)
SELECT count(*) FROM gone;

-- name: purge_clients
-- A batch of names that nobody uses: nothing waits, no connection was there for long, no event tells them. Should one come
-- back, its epoch is another.
WITH idle AS (
    SELECT c.name FROM clients AS c
    WHERE c.waiting = 0 AND coalesce(c.connected_at, '-infinity') < %(before)s
        AND NOT EXISTS (
            SELECT FROM events AS e
            WHERE e.action #>> '{params,client_name}' = c.name AND e.status IN ('active', 'paused')
        )
    LIMIT %(limit)s
    FOR UPDATE SKIP LOCKED
), gone AS (
    DELETE FROM clients AS c USING idle WHERE c.name = idle.name RETURNING 1
)
SELECT count(*) FROM gone;

-- name: find_oldest_overdue
SELECT min(fire_at) FROM pending WHERE fire_at < %(now)s AND lease_until IS NULL AND blocked_on IS NULL;
