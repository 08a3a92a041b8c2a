-- Several connections of one client, and what becomes of a message that nobody takes.
--
-- A name is shared while an event tells it in another mode than `latest`, or the newest message did: then a newer connection
-- does not end the older ones. What is meant for one of them is lent to a connection until `taken_until`; that is written for
-- such messages alone. What has a fallback is taken back at `fallback_at`, and its occurrence remembers that it was, and
-- when it was handed over first. What is lent is not always the next: up to `lent_seq` something may have been passed over.

LOCK TABLE pending, outbox, clients IN ACCESS EXCLUSIVE MODE; -- in the order of those who settle, who would else wait for us

ALTER TABLE clients
    ADD mode text NOT NULL DEFAULT 'latest', -- as the newest message has it
    ADD lent_seq bigint NOT NULL DEFAULT 0; -- the highest number that was lent
COMMENT ON COLUMN clients.connected_at IS 'when a connection was there last, to the day; null: none ever was';

ALTER TABLE outbox
    ADD mode text NOT NULL DEFAULT 'latest', -- to whom of several connections it goes
    ADD taken_by bigint, -- generation of the connection that it is lent to
    ADD taken_until timestamptz, -- null: it was lent to nobody; what was given back has a past one
    ADD fallback_at timestamptz; -- when it is taken back; null: never
CREATE INDEX outbox_latest ON outbox (client, seq) WHERE mode = 'latest';
CREATE INDEX outbox_one_of ON outbox (client, seq) WHERE mode = 'one_of';
CREATE INDEX outbox_fan_out ON outbox (client, seq) WHERE mode = 'fan_out';
CREATE INDEX outbox_fallback ON outbox (fallback_at) WHERE fallback_at IS NOT NULL;

ALTER TABLE pending
    ADD fallback boolean NOT NULL DEFAULT false, -- its client did not take it in time: another does
    ADD handed_at timestamptz; -- when it was handed to a client first

CREATE VIEW shared_names AS
SELECT action #>> '{params,client_name}' AS name FROM events
WHERE action #>> '{params,client_name}' IS NOT NULL AND action #>> '{params,mode}' IN ('one_of', 'fan_out')
    AND status IN ('active', 'paused');

-- What waits for clients, with all that it takes to settle it. Without the frame, which may be long.
CREATE VIEW messages AS
SELECT o.client, o.seq, o.mode, o.taken_by, o.ack_timeout, o.handed_at, o.fallback_at,
    p.event_id, p.due_at, p.fire_at, p.version, p.origin, p.attempt, p.starts, p.losses, p.fence,
    coalesce(p.meant_at, p.fire_at) AS meant_at, p.callback, p.fallback,
    e.name, e.description, e.action, e.tags, e.policies, coalesce(v.payload, e.metadata) AS metadata,
    e.status = 'deleted' AS orphaned, e.lane
FROM outbox AS o
JOIN pending AS p ON p.event_id = o.event_id AND p.due_at = o.due_at AND p.fence = o.fence
JOIN events AS e ON e.id = p.event_id
LEFT JOIN occurrence_overrides AS v ON v.event_id = p.event_id AND v.due_at = p.due_at;
