-- What waits for clients of the gateway. The rows of `clients` are locked in the order of their names, so that no two of us
-- wait for each other; and since whoever adds messages holds them to the end, numbers are committed in their order.

-- name: hand_over
-- From a worker to a client, in one statement: fenced like a settlement, and the fence moves on, so that nothing more can
-- come of the claim. One client's messages are numbered in the order in which they were due.
WITH given AS (
    SELECT *
    FROM unnest(
        %(event_ids)b::uuid[], %(due_ats)b::timestamptz[], %(fences)b::bigint[], %(clients)b::text[], %(frames)b::text[],
        %(sizes)b::int[], %(ack_timeouts)b::real[], %(backlogs)b::int[], %(expire_ats)b::timestamptz[]
    ) AS t (event_id, due_at, fence, client, frame, size, ack_timeout, max_backlog, expires_at)
), held AS (
    UPDATE pending AS p
    SET lease_until = 'infinity', worker = NULL, fence = nextval('fences'), losses = 0
    FROM given AS g
    WHERE p.event_id = g.event_id AND p.due_at = g.due_at AND p.fence = g.fence
    RETURNING p.event_id, p.due_at, p.fire_at, p.fence, g.client, g.frame, g.size, g.ack_timeout, g.max_backlog, g.expires_at
), placed AS (
    SELECT *, row_number() OVER (PARTITION BY client ORDER BY fire_at, due_at, event_id) AS place,
        count(*) OVER (PARTITION BY client) AS together
    FROM held
), addressed AS (
    INSERT INTO clients (name, last_seq, waiting, max_backlog)
    SELECT client, count(*), count(*), (array_agg(max_backlog ORDER BY place DESC))[1]
    FROM placed
    GROUP BY client
    ORDER BY client
    ON CONFLICT (name) DO UPDATE
    SET last_seq = clients.last_seq + EXCLUDED.last_seq, waiting = clients.waiting + EXCLUDED.waiting,
        max_backlog = EXCLUDED.max_backlog
    RETURNING name, last_seq
), kept AS (
    INSERT INTO outbox (client, seq, event_id, due_at, fence, frame, size, ack_timeout, handed_at, expires_at)
    SELECT p.client, a.last_seq - p.together + p.place, p.event_id, p.due_at, p.fence, p.frame, p.size, p.ack_timeout,
        %(now)s, p.expires_at
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
-- Whoever connects is served from now on, and nobody else of that name.
INSERT INTO clients (name, generation, connected_at) VALUES (%(client)s, 1, %(now)s)
ON CONFLICT (name) DO UPDATE SET generation = clients.generation + 1, connected_at = EXCLUDED.connected_at
RETURNING generation, epoch, last_seq, sent_seq, waiting;

-- name: look
-- Who of these is served by which connection, and up to which number there is something.
SELECT name, generation, last_seq FROM clients WHERE name = ANY(%(clients)b::text[]);

-- name: pull
-- A page of messages, and the note that they go out now; nothing if another connection is served. Frames are read for those
-- alone that fit: the sizes say which.
WITH mine AS (
    SELECT name, sent_seq FROM clients WHERE name = %(client)s AND generation = %(generation)s
), near AS (
    SELECT o.client, o.seq, sum(o.size) OVER (ORDER BY o.seq) - o.size AS before
    FROM (
        SELECT client, seq, size FROM outbox
        WHERE client = %(client)s AND seq > %(after)s
        ORDER BY seq
        LIMIT %(limit)s
    ) AS o
), page AS (
    SELECT n.client, n.seq, n.seq <= m.sent_seq AS again FROM near AS n JOIN mine AS m ON m.name = n.client
    WHERE n.before < %(bytes)s
), noted AS (
    UPDATE clients SET sent_seq = greatest(sent_seq, (SELECT max(seq) FROM page))
    WHERE name = %(client)s AND generation = %(generation)s AND EXISTS (SELECT FROM page WHERE NOT again)
)
SELECT o.seq, page.again OR p.starts > 0 AS again, o.frame, o.ack_timeout, o.handed_at,
    p.event_id, p.due_at, p.fire_at, p.version, p.origin, p.attempt, p.starts, p.losses, p.fence,
    coalesce(p.meant_at, p.fire_at) AS meant_at, p.callback,
    e.name, e.description, e.action, e.tags, e.policies,
    NULL::text AS hmac_plain, NULL::bytea AS hmac_sealed, NULL::bytea AS hmac_previous,
    NULL::timestamptz AS hmac_previous_until, NULL::bytea AS headers_sealed,
    coalesce(v.payload, e.metadata) AS metadata, false AS orphaned, e.lane
FROM page
JOIN outbox AS o ON o.client = page.client AND o.seq = page.seq
JOIN pending AS p ON p.event_id = o.event_id AND p.due_at = o.due_at AND p.fence = o.fence
JOIN events AS e ON e.id = p.event_id
LEFT JOIN occurrence_overrides AS v ON v.event_id = p.event_id AND v.due_at = p.due_at
ORDER BY o.seq;

-- name: find_waiting
-- Messages of a client that nobody here has in hand: those up to a number that went out once, or one by its occurrence.
SELECT o.seq, true AS again, '' AS frame, o.ack_timeout, o.handed_at,
    p.event_id, p.due_at, p.fire_at, p.version, p.origin, p.attempt, p.starts, p.losses, p.fence,
    coalesce(p.meant_at, p.fire_at) AS meant_at, p.callback,
    e.name, e.description, e.action, e.tags, e.policies,
    NULL::text AS hmac_plain, NULL::bytea AS hmac_sealed, NULL::bytea AS hmac_previous,
    NULL::timestamptz AS hmac_previous_until, NULL::bytea AS headers_sealed,
    coalesce(v.payload, e.metadata) AS metadata, false AS orphaned, e.lane
FROM outbox AS o
JOIN clients AS c ON c.name = o.client
JOIN pending AS p ON p.event_id = o.event_id AND p.due_at = o.due_at AND p.fence = o.fence
JOIN events AS e ON e.id = p.event_id
LEFT JOIN occurrence_overrides AS v ON v.event_id = p.event_id AND v.due_at = p.due_at
WHERE o.client = %(client)s AND o.seq <= least(%(until)s, c.sent_seq)
    AND (%(event_id)s::uuid IS NULL OR (o.event_id = %(event_id)s::uuid AND o.due_at = %(due_at)s::timestamptz))
ORDER BY o.seq
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
SELECT o.client, s.expired, c.max_backlog,
    o.seq, true AS again, '' AS frame, o.ack_timeout, o.handed_at,
    p.event_id, p.due_at, p.fire_at, p.version, p.origin, p.attempt, p.starts, p.losses, p.fence,
    coalesce(p.meant_at, p.fire_at) AS meant_at, p.callback,
    e.name, e.description, e.action, e.tags, e.policies,
    NULL::text AS hmac_plain, NULL::bytea AS hmac_sealed, NULL::bytea AS hmac_previous,
    NULL::timestamptz AS hmac_previous_until, NULL::bytea AS headers_sealed,
    coalesce(v.payload, e.metadata) AS metadata, false AS orphaned, e.lane
FROM chosen AS s
JOIN outbox AS o ON o.client = s.client AND o.seq = s.seq
JOIN clients AS c ON c.name = o.client
JOIN pending AS p ON p.event_id = o.event_id AND p.due_at = o.due_at AND p.fence = o.fence
JOIN events AS e ON e.id = p.event_id
LEFT JOIN occurrence_overrides AS v ON v.event_id = p.event_id AND v.due_at = p.due_at
ORDER BY o.client, o.seq;
