-- What waits for clients of the gateway. The rows of `clients` are locked in the order of their names, so that no two of us
-- wait for each other; and since whoever adds messages holds them to the end, numbers are committed in their order.

-- name: hand_over
-- From a worker to a client, in one statement: fenced like a settlement, and the fence moves on, so that nothing more can
-- come of the claim. One client's messages are numbered in the order in which they were due.
WITH given AS (
    SELECT *
    FROM unnest(
        %(event_ids)b::uuid[], %(due_ats)b::timestamptz[], %(fences)b::bigint[], %(clients)b::text[], %(frames)b::text[],
        %(sizes)b::int[], %(ack_timeouts)b::real[], %(backlogs)b::int[], %(modes)b::text[], %(expire_ats)b::timestamptz[],
        %(fallback_ats)b::timestamptz[]
    ) AS t (event_id, due_at, fence, client, frame, size, ack_timeout, max_backlog, mode, expires_at, fallback_at)
), held AS (
    UPDATE pending AS p
    SET lease_until = 'infinity', worker = NULL, fence = nextval('fences'), losses = 0,
        handed_at = coalesce(p.handed_at, %(now)s)
    FROM given AS g
    WHERE p.event_id = g.event_id AND p.due_at = g.due_at AND p.fence = g.fence
    RETURNING p.event_id, p.due_at, p.fire_at, p.fence, g.client, g.frame, g.size, g.ack_timeout, g.max_backlog, g.mode,
        g.expires_at, g.fallback_at
), placed AS (
    SELECT *, row_number() OVER (PARTITION BY client ORDER BY fire_at, due_at, event_id) AS place,
        count(*) OVER (PARTITION BY client) AS together
    FROM held
), addressed AS (
    INSERT INTO clients (name, last_seq, waiting, max_backlog, mode)
    SELECT client, count(*), count(*), (array_agg(max_backlog ORDER BY place DESC))[1],
        (array_agg(mode ORDER BY place DESC))[1]
    FROM placed
    GROUP BY client
    ORDER BY client
    ON CONFLICT (name) DO UPDATE
    SET last_seq = clients.last_seq + EXCLUDED.last_seq, waiting = clients.waiting + EXCLUDED.waiting,
        max_backlog = EXCLUDED.max_backlog, mode = EXCLUDED.mode
    RETURNING name, last_seq
), kept AS (
    INSERT INTO outbox (
        client, seq, event_id, due_at, fence, frame, size, ack_timeout, mode, handed_at, expires_at, fallback_at
    )
    SELECT p.client, a.last_seq - p.together + p.place, p.event_id, p.due_at, p.fence, p.frame, p.size, p.ack_timeout,
        p.mode, %(now)s, p.expires_at, p.fallback_at
    FROM placed AS p JOIN addressed AS a ON a.name = p.client
)
SELECT event_id, due_at, 'dispatched', NULL::timestamptz FROM held;

-- name: forget
-- What was settled waits no more. In the settlement's own transaction.
WITH gone AS (
    DELETE FROM outbox AS o
    USING unnest(%(event_ids)b::uuid[], %(due_ats)b::timestamptz[], %(fences)b::bigint[]) AS t (event_id, due_at, fence)
    WHERE o.event_id = t.event_id AND o.due_at = t.due_at AND o.fence = t.fence
    RETURNING o.client
), fewer AS (
    SELECT client, count(*) AS count FROM gone GROUP BY client
), locked AS (
    SELECT name FROM clients WHERE name IN (SELECT client FROM fewer) ORDER BY name FOR UPDATE
)
UPDATE clients AS c SET waiting = c.waiting - f.count
FROM fewer AS f JOIN locked AS l ON l.name = f.client
WHERE c.name = f.client;

-- name: connect
-- Whoever connects is the newest of that name, and the only one that is served unless the name is shared.
INSERT INTO clients (name, generation, connected_at) VALUES (%(client)s, 1, %(now)s)
ON CONFLICT (name) DO UPDATE SET generation = clients.generation + 1, connected_at = EXCLUDED.connected_at
RETURNING generation, epoch, last_seq, sent_seq,
    mode <> 'latest' OR EXISTS (SELECT FROM shared_names AS s WHERE s.name = %(client)s);

-- name: look
-- Who of these is served by which connection, up to which number there is something, and how much waits. Whether events share
-- the name is looked up where it seems to matter: where a newer connection than the oldest here was made, and where it is
-- shared as far as is known.
SELECT c.name, c.generation, c.last_seq, c.waiting,
    c.mode <> 'latest'
    OR CASE WHEN c.generation <> t.generation OR t.shared
        THEN EXISTS (SELECT FROM shared_names AS s WHERE s.name = c.name)
    END
FROM unnest(%(clients)b::text[], %(generations)b::bigint[], %(shareds)b::boolean[]) AS t (name, generation, shared)
JOIN clients AS c ON c.name = t.name;

-- name: stay
-- Whoever is connected for long is not forgotten.
UPDATE clients SET connected_at = %(now)s
WHERE name = ANY(%(clients)b::text[]) AND connected_at < %(now)s::timestamptz - interval '1 day';

-- name: pull
-- A page of messages, and the note that they go out now. To the newest connection alone goes what is meant for the latest,
-- unless the name is shared: then it is lent like what is meant for one of them. What is meant for all goes to each. What is
-- lent is skipped by the others as they pull at the same time; so some of what is meant for the latest may be passed over, up
-- to the highest number that was lent. Frames are read for those alone that fit: the sizes say which.
WITH mine AS (
    SELECT name, sent_seq FROM clients WHERE name = %(client)s AND generation = %(generation)s
), free AS (
    SELECT seq, size, frame, true AS is_lent, taken_until IS NOT NULL AS again FROM outbox
    WHERE client = %(client)s AND mode = 'one_of' AND (taken_until IS NULL OR taken_until <= %(now)s)
    ORDER BY seq
    LIMIT %(limit)s
    FOR UPDATE SKIP LOCKED
), free_latest AS (
    SELECT seq, size, frame, true AS is_lent,
        taken_until IS NOT NULL OR seq <= (SELECT c.sent_seq FROM clients AS c WHERE c.name = %(client)s) AS again
    FROM outbox
    WHERE %(shared)s AND client = %(client)s AND mode = 'latest' AND (taken_until IS NULL OR taken_until <= %(now)s)
    ORDER BY seq
    LIMIT %(limit)s
    FOR UPDATE SKIP LOCKED
), next_latest AS (
    SELECT o.seq, o.size, o.frame, false AS is_lent, o.taken_until IS NOT NULL OR o.seq <= m.sent_seq AS again
    FROM outbox AS o JOIN mine AS m ON m.name = o.client
    WHERE NOT %(shared)s AND o.client = %(client)s AND o.mode = 'latest' AND o.seq > %(after)s
    ORDER BY o.seq
    LIMIT %(limit)s
), next_for_all AS (
    SELECT seq, size, frame, false AS is_lent, seq <= %(sent_before)s AS again FROM outbox
    WHERE client = %(client)s AND mode = 'fan_out' AND seq > %(after)s
    ORDER BY seq
    LIMIT %(limit)s
), near AS (
    SELECT *, sum(size) OVER (ORDER BY seq) - size AS before
    FROM (
        SELECT * FROM free
        UNION ALL SELECT * FROM free_latest
        UNION ALL SELECT * FROM next_latest
        UNION ALL SELECT * FROM next_for_all
        ORDER BY seq
        LIMIT %(limit)s
    ) AS o
), page AS (
    SELECT seq, frame, is_lent, again FROM near WHERE before < %(bytes)s
), lent AS (
    UPDATE outbox AS o
    SET taken_by = %(generation)s,
        taken_until = %(now)s::timestamptz + (o.ack_timeout + %(margin)s) * interval '1 second'
    FROM page
    WHERE o.client = %(client)s AND o.seq = page.seq AND page.is_lent
), noted AS (
    UPDATE clients AS c
    SET sent_seq = greatest(c.sent_seq, n.seq), lent_seq = greatest(c.lent_seq, n.lent)
    FROM (SELECT max(seq) AS seq, max(seq) FILTER (WHERE %(shared)s OR is_lent) AS lent FROM page) AS n
    WHERE c.name = %(client)s AND (c.sent_seq < n.seq OR c.lent_seq < n.lent)
)
SELECT m.*, page.again OR m.starts > 0 AS again, page.frame, page.is_lent
FROM page
JOIN messages AS m ON m.client = %(client)s AND m.seq = page.seq
ORDER BY m.seq;

-- name: give_back
-- What a connection that has ended was lent, to whoever comes next; but for what is being settled just now, or is to be.
WITH lent AS (
    SELECT client, seq FROM outbox
    WHERE client = %(client)s AND taken_by = %(generation)s AND taken_until > %(now)s
        AND seq <> ALL(%(settling)b::bigint[])
    FOR UPDATE SKIP LOCKED
)
UPDATE outbox AS o SET taken_until = '-infinity'
FROM lent AS l
WHERE o.client = l.client AND o.seq = l.seq
RETURNING o.seq;

-- name: find_waiting
-- Messages of a client that nobody here has in hand: those up to a number that went out once, but for what another
-- connection has alone; or one by its occurrence. While a name is shared, what is meant for the latest is with one of them if
-- it went out at all; and where something was lent, what was not may have been passed over.
SELECT m.* FROM messages AS m JOIN clients AS c ON c.name = m.client
WHERE m.client = %(client)s AND m.seq <= least(%(until)s, c.sent_seq)
    AND CASE WHEN %(event_id)s::uuid IS NULL
        THEN m.taken_by = %(generation)s OR m.mode = 'fan_out'
            OR (m.mode = 'latest' AND m.taken_by IS NULL AND NOT %(shared)s AND m.seq > c.lent_seq)
        ELSE m.event_id = %(event_id)s::uuid AND m.due_at = %(due_at)s::timestamptz
    END
ORDER BY m.seq
LIMIT %(limit)s;

-- name: find_stale
-- What has waited too long, and of those clients that have too much waiting the oldest.
WITH stale AS (
    (
        SELECT client, seq, true AS expired FROM outbox WHERE expires_at <= %(now)s ORDER BY expires_at LIMIT %(limit)s
    )
    UNION ALL
    SELECT o.client, o.seq, false
    FROM clients AS c
    CROSS JOIN LATERAL (
        SELECT client, seq FROM outbox WHERE client = c.name
        ORDER BY seq
        LIMIT least(c.waiting - c.max_backlog, %(limit)s)
    ) AS o
    WHERE c.waiting > c.max_backlog
), chosen AS (
    SELECT client, seq, bool_or(expired) AS expired FROM stale GROUP BY client, seq
)
SELECT m.*, s.expired, c.max_backlog
FROM chosen AS s
JOIN clients AS c ON c.name = s.client
JOIN messages AS m ON m.client = s.client AND m.seq = s.seq
ORDER BY m.client, m.seq;

-- name: find_unheard
-- What is to be taken back until an instant, the earliest first.
WITH near AS (
    SELECT client, seq, fallback_at FROM outbox WHERE fallback_at <= %(until)s ORDER BY fallback_at LIMIT %(limit)s
)
SELECT m.*
FROM near AS n
CROSS JOIN LATERAL (SELECT * FROM messages AS o WHERE o.client = n.client AND o.seq = n.seq LIMIT 1) AS m
ORDER BY n.fallback_at;

-- name: take_back
-- Back to the workers, who do the fallback. The fence moves on, so that no word of a client counts any more; the place in a
-- lane is kept. Whoever calls this forgets the messages in the same transaction.
UPDATE pending AS p
SET lease_until = NULL, fence = nextval('fences'), fallback = true, meant_at = coalesce(p.meant_at, p.fire_at), fire_at = %(now)s
FROM unnest(%(event_ids)b::uuid[], %(due_ats)b::timestamptz[], %(fences)b::bigint[]) AS t (event_id, due_at, fence)
WHERE p.event_id = t.event_id AND p.due_at = t.due_at AND p.fence = t.fence AND p.lease_until = 'infinity'
RETURNING p.event_id, p.due_at, p.fire_at;

-- name: leave
-- These stay with their clients.
UPDATE outbox AS o SET fallback_at = NULL
FROM unnest(%(event_ids)b::uuid[], %(due_ats)b::timestamptz[], %(fences)b::bigint[]) AS t (event_id, due_at, fence)
WHERE o.event_id = t.event_id AND o.due_at = t.due_at AND o.fence = t.fence;

-- name: measure
-- How much waits, and since when the oldest of it does: the first of each client's, for later ones have higher numbers.
SELECT coalesce(sum(c.waiting), 0)::bigint, min(o.handed_at)
FROM clients AS c
LEFT JOIN LATERAL (SELECT handed_at FROM outbox WHERE client = c.name ORDER BY seq LIMIT 1) AS o ON c.waiting > 0;

-- name: is_told
-- Whether an event tells that client.
SELECT EXISTS (
    SELECT FROM events WHERE id = %(event_id)s AND action #>> '{params,client_name}' = %(client)s::text
);
