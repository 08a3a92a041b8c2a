-- What waits for a client that hears through the gateway: kept here until the client has acknowledged it, so that nobody
-- misses what was meant for them because they were away.
--
-- An occurrence that was handed over is `dispatched` without a lease that could end: `lease_until = 'infinity'`, of no worker.
-- So everything that looks at leases leaves it alone, and everything that asks whether a request has started is told so.

CREATE TABLE clients (
    name text PRIMARY KEY,
    epoch uuid NOT NULL DEFAULT gen_random_uuid(), -- of the numbers below; another one means that they began anew
    generation bigint NOT NULL DEFAULT 0, -- of the connection that is served; each that takes over raises it
    last_seq bigint NOT NULL DEFAULT 0, -- the number of the newest message
    sent_seq bigint NOT NULL DEFAULT 0, -- up to which messages went out at least once
    waiting bigint NOT NULL DEFAULT 0, -- messages that are not acknowledged
    max_backlog integer NOT NULL DEFAULT 10000, -- how many may wait; as the newest message has it
    connected_at timestamptz -- null: it never was
) WITH (fillfactor = 50);

CREATE TABLE outbox (
    client text NOT NULL,
    seq bigint NOT NULL,
    event_id uuid NOT NULL,
    due_at timestamptz NOT NULL,
    fence bigint NOT NULL, -- of the row in pending, which settles under it
    frame text NOT NULL, -- the JSON object that is sent, but for what belongs to the sending
    size integer NOT NULL, -- bytes of it
    ack_timeout real NOT NULL, -- seconds
    handed_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    PRIMARY KEY (client, seq),
    UNIQUE (event_id, due_at)
);
CREATE INDEX outbox_expires ON outbox (expires_at);

-- The leases that end are those of workers; what waits for clients may be much, and the reaper need not see it.
DROP INDEX pending_held;
CREATE INDEX pending_held ON pending (worker, lease_until) WHERE worker IS NOT NULL;
