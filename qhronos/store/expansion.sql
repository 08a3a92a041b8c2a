-- name: take_expandable
-- Each replica takes its own batch: what another one is at is skipped, so there is no leader. What has other zone rules
-- than this process follows first, or is left to one that has newer ones.
SELECT id, version, recurrence, policies, expanded_until
FROM events
WHERE status = 'active' AND next_expand_at <= %(now)s AND tzdata = %(tzdata)s
ORDER BY next_expand_at
LIMIT %(limit)s
FOR UPDATE SKIP LOCKED;

-- name: next_expansion
SELECT min(next_expand_at) FROM events
WHERE status = 'active' AND next_expand_at IS NOT NULL AND tzdata = %(tzdata)s;

-- name: record_expansion
UPDATE events AS e
SET expanded_until = t.expanded_until, next_due_at = t.next_due_at, next_expand_at = t.next_expand_at
FROM unnest(
    %(event_ids)b::uuid[], %(expanded_untils)b::timestamptz[], %(next_due_ats)b::timestamptz[],
    %(next_expand_ats)b::timestamptz[]
) AS t (id, expanded_until, next_due_at, next_expand_at)
WHERE e.id = t.id;

-- name: insert_gaps
INSERT INTO gaps (event_id, since, until, count, reason)
SELECT * FROM unnest(
    %(event_ids)b::uuid[], %(sinces)b::timestamptz[], %(untils)b::timestamptz[], %(counts)b::bigint[],
    %(reasons)b::text[]
)
ON CONFLICT (event_id, since) DO UPDATE SET until = EXCLUDED.until, count = EXCLUDED.count;

-- name: quarantine
-- One poisoned rule stops itself and nothing else.
UPDATE events SET status = 'error', reason = %(reason)s, next_expand_at = NULL, updated_at = %(now)s
WHERE id = %(event_id)s
RETURNING id, name, status, tags, version, updated_at;
