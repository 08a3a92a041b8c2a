-- name: seed_events
-- So many that reading a table whole costs more than looking things up. Most are active; one in a hundred is near its next
-- expansion, one in a hundred has a lane, secrets, a calendar, an end of its pause or older zone rules.
INSERT INTO events (
    id, key, name, description, start_time, timezone, recurrence, action, metadata, tags, policies, status, version, tzdata,
    expanded_until, next_due_at, next_expand_at, created_at, updated_at, deleted_at, hmac_sealed, hmac_previous_until,
    paused_until, resumes_with
)
SELECT ('01900000-0000-7000-8000-' || lpad(to_hex(i), 12, '0'))::uuid, 'key-' || i, 'event ' || i,
    'what number ' || i || ' is for', %(now)s, 'UTC',
    CASE i %% 100 WHEN 7 THEN '{"rrule": [], "rdate": [], "business": {"calendars": ["DE"]}}' ELSE '{"rrule": [], "rdate": []}' END::jsonb,
    CASE i %% 10 WHEN 6 THEN '{"type": "websocket", "params": {"client_name": "client-' || i %% 1000 || '"}}'
        ELSE '{"type": "webhook", "params": {"url": "https://example.com/"}}' END::json, jsonb_build_object('n', i),
    ARRAY['team-' || i %% 1000, 'all'], CASE i %% 100 WHEN 8 THEN jsonb_build_object('ordering_key', 'order-' || i) ELSE '{}' END,
    status, 1, CASE i %% 100 WHEN 9 THEN '2025a' ELSE '2026a' END, %(now)s,
    CASE WHEN status = 'active' AND i %% 50 <> 5 THEN %(now)s::timestamptz + i * interval '1 minute' END,
    CASE WHEN status = 'active' AND i %% 50 <> 5 THEN %(now)s::timestamptz + (i - 200) * interval '1 minute' END,
    %(now)s, %(now)s::timestamptz - i * interval '1 minute', CASE status WHEN 'deleted' THEN %(now)s::timestamptz END,
    CASE i %% 100 WHEN 10 THEN 'sealed'::bytea END, CASE i %% 1000 WHEN 10 THEN %(now)s::timestamptz END,
    CASE i %% 100 WHEN 2 THEN %(now)s::timestamptz END, CASE i %% 100 WHEN 2 THEN 'fire_all' END
FROM generate_series(1, %(many)s::int) AS i, LATERAL (
    SELECT CASE WHEN i %% 100 = 1 THEN 'error' WHEN i %% 100 = 2 THEN 'paused' WHEN i %% 20 = 3 THEN 'deleted'
        WHEN i %% 20 = 4 THEN 'completed' ELSE 'active' END AS status
) AS s;

-- name: seed_versions
INSERT INTO event_versions (event_id, version, recurrence, policies, tzdata, valid_from)
SELECT id, version, recurrence, policies, tzdata, created_at FROM events;

-- name: seed_pending
-- Two of each event that is active; one in a hundred is held, one in a thousand waits in its lane.
INSERT INTO pending (event_id, due_at, fire_at, version, origin, fence, lease_until, worker, blocked_on, meant_at)
SELECT id, due_at, due_at, 1, 'rule', CASE WHEN held THEN nextval('fences') END, CASE WHEN held THEN %(now)s::timestamptz END,
    CASE WHEN held THEN n %% 4 END, CASE WHEN n %% 1000 = 1 THEN 'lane' END, CASE WHEN held THEN due_at END
FROM (
    SELECT id, row_number() OVER () AS n, row_number() OVER () %% 100 = 0 AS held,
        %(now)s::timestamptz + hours * interval '1 hour' + row_number() OVER () * interval '1 second' AS due_at
    FROM events, generate_series(0, 1) AS hours
    WHERE status = 'active'
) AS numbered;

-- name: seed_ledger
-- As many each day, of which one in a hundred has failed.
INSERT INTO occurrences (event_id, due_at, status, reason, origin, version, attempt, finished_at)
SELECT e.id, due_at, CASE WHEN n %% 100 = 0 THEN 'failed' ELSE 'completed' END, CASE WHEN n %% 100 = 0 THEN 'HTTP 500' END, 'rule',
    1, 1, due_at + interval '1 second'
FROM (
    SELECT id, row_number() OVER (ORDER BY id) AS n FROM events
) AS e, generate_series(-4, 2) AS day, LATERAL (
    SELECT date_trunc('day', %(now)s::timestamptz) + day * interval '1 day' + n * interval '1 second' AS due_at
) AS at;

-- name: seed_attempts
INSERT INTO attempts (event_id, due_at, attempt, version, outcome, status_code, excerpt, started_at, finished_at)
SELECT event_id, due_at, 1, 1, 'delivered', 200, 'thanks', due_at, finished_at FROM occurrences;

-- name: seed_gaps
INSERT INTO gaps (event_id, since, until, count, reason)
SELECT id, created_at, created_at + interval '1 hour', 12, 'paused' FROM events;

-- name: seed_overrides
INSERT INTO occurrence_overrides (event_id, due_at, move_to, created_at)
SELECT event_id, due_at, due_at + interval '1 minute', %(now)s FROM pending;

-- name: seed_idempotency_keys
INSERT INTO idempotency_keys (subject, key, request_hash, status, created_at)
SELECT 'subject-' || i %% 10, 'key-' || i, 'hash'::bytea, 201, %(now)s::timestamptz - i * interval '1 second'
FROM generate_series(1, %(many)s::int) AS i;

-- name: seed_audit
INSERT INTO audit (at, actor, action, object, request_id, details)
SELECT %(now)s::timestamptz - i * interval '1 minute', 'subject-' || i %% 1000, 'event.created', 'object-' || i, 'request-' || i, '{}'
FROM generate_series(1, %(many)s::int) AS i;

-- name: seed_zone_changes
INSERT INTO tzdata_changes (at, event_id, was, became, change, before, after)
SELECT %(now)s::timestamptz - n * interval '1 minute', id, '2025a', '2026a', 'moved', %(now)s, %(now)s
FROM (SELECT id, row_number() OVER () AS n FROM events) AS e;

-- name: seed_tallies
INSERT INTO tallies (at, status, count)
SELECT %(now)s::timestamptz - i * interval '1 minute', 'completed', i FROM generate_series(1, %(many)s::int) AS i;

-- name: seed_tokens
INSERT INTO tokens (id, sub, access, scope, issued_at, expires_at, revoked_at)
SELECT gen_random_uuid(), 'subject-' || i, 'read', '{}', %(now)s, %(now)s::timestamptz + (i - 100) * interval '1 hour',
    CASE WHEN i %% 100 = 0 THEN %(now)s::timestamptz END
FROM generate_series(1, %(many)s::int) AS i;

-- name: seed_feeds
INSERT INTO feeds (id, secret_hash, name, tags, tags_match, created_by, created_at)
SELECT gen_random_uuid(), sha256(i::text::bytea), 'feed ' || i, '{}', 'any', 'subject-' || i %% 1000, %(now)s
FROM generate_series(1, %(many)s::int) AS i;

-- name: seed_workers
INSERT INTO workers (name, started_at, heartbeat_at) SELECT 'worker ' || i, %(now)s, %(now)s FROM generate_series(1, 4) AS i;

-- name: seed_clients
INSERT INTO clients (name, generation, last_seq, sent_seq, waiting, max_backlog)
SELECT 'client-' || i, 1, 20, 10, 20, CASE i %% 100 WHEN 1 THEN 10 ELSE 10000 END FROM generate_series(0, 999) AS i;

-- name: seed_outbox
INSERT INTO outbox (
    client, seq, event_id, due_at, fence, frame, size, ack_timeout, handed_at, expires_at, mode, taken_by, taken_until, fallback_at
)
SELECT 'client-' || n %% 1000, n / 1000 + 1, event_id, due_at, n, '{}', 2, 30, %(now)s,
    %(now)s::timestamptz + (n - 100) * interval '1 minute',
    CASE n %% 10 WHEN 1 THEN 'one_of' WHEN 2 THEN 'fan_out' ELSE 'latest' END,
    CASE n %% 100 WHEN 1 THEN 1 END, CASE n %% 100 WHEN 1 THEN %(now)s::timestamptz END,
    CASE n %% 100 WHEN 3 THEN %(now)s::timestamptz + n * interval '1 minute' END
FROM (SELECT event_id, due_at, row_number() OVER () AS n FROM pending) AS p;
