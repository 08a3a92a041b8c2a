-- The whole spine: intent (events, their versions and gaps), open work (pending), the ledger of what is closed
-- (occurrences, attempts), and what guards and records the API (tokens, idempotency keys, audit).
--
-- Open and closed are kept apart on purpose. `pending` is small and hot: leases, retries and sweeps touch it alone and
-- stay cheap at any history. Settling moves a row into the append-only ledger, partitioned by the day it was due, so that
-- retention drops whole partitions and never vacuums what it deletes.
--
-- An occurrence has no id column: it is (event_id, due_at), and its public id is computed from the two.

CREATE TABLE installation (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    plan_shards smallint NOT NULL DEFAULT 4 CHECK (plan_shards BETWEEN 1 AND 256),
    ledger_floor date NOT NULL -- what was due before this day shares one partition
);

CREATE TABLE events (
    id uuid PRIMARY KEY, -- time-ordered, so that creation order is id order
    key text, -- chosen by the client, for upserts
    name text NOT NULL,
    description text NOT NULL,
    start_time timestamptz NOT NULL,
    timezone text NOT NULL,
    schedule json, -- as the client wrote it, to the letter; null for once
    recurrence jsonb NOT NULL, -- the canonical rule that expands
    action json NOT NULL, -- a body is sent as it was written
    metadata jsonb NOT NULL,
    tags text[] NOT NULL,
    policies jsonb NOT NULL, -- retry, misfire, …
    hmac_secret text, -- never leaves this table but to sign
    status text NOT NULL CHECK (status IN ('active', 'paused', 'completed', 'error', 'deleted')),
    reason text, -- why it is paused or in error
    version integer NOT NULL,
    tzdata text NOT NULL, -- the version of the zone rules that expanded it
    expanded_until timestamptz NOT NULL, -- everything before is in pending, the ledger or gaps
    next_due_at timestamptz, -- the first instant not yet expanded; null: none is left
    next_expand_at timestamptz, -- when the expander must look again; null: never
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    deleted_at timestamptz
);
CREATE UNIQUE INDEX events_key ON events (key) WHERE deleted_at IS NULL;
CREATE INDEX events_status ON events (status, id);
CREATE INDEX events_expand ON events (next_expand_at) WHERE status = 'active' AND next_expand_at IS NOT NULL;
CREATE INDEX events_ending ON events (id) WHERE status = 'active' AND next_expand_at IS NULL;
CREATE INDEX events_ended ON events (updated_at) WHERE status IN ('completed', 'deleted');
CREATE INDEX events_tags ON events USING gin (tags);
CREATE INDEX events_metadata ON events USING gin (metadata jsonb_path_ops);
CREATE INDEX events_words ON events USING gin (
    to_tsvector('simple', name || ' ' || description || ' ' || coalesce(key, ''))
);

-- What somebody typed into a search box: every word as a prefix, cut by the parser that cut the indexed text.
CREATE FUNCTION prefixes(words text) RETURNS tsquery LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE
        WHEN numnode(plainto_tsquery('simple', words)) = 0 THEN ''::tsquery
        ELSE (replace(plainto_tsquery('simple', words)::text, ''' & ''', ''':* & ''') || ':*')::tsquery
    END
$$;

-- What an event promised, and when: with gaps it makes "expected minus recorded" a query.
CREATE TABLE event_versions (
    event_id uuid NOT NULL,
    version integer NOT NULL,
    recurrence jsonb NOT NULL,
    policies jsonb NOT NULL,
    tzdata text NOT NULL,
    valid_from timestamptz NOT NULL,
    valid_until timestamptz,
    PRIMARY KEY (event_id, version)
);

-- Spans in which instants were due and deliberately not made: one row says what thousands of skipped ones would.
CREATE TABLE gaps (
    event_id uuid NOT NULL,
    since timestamptz NOT NULL,
    until timestamptz NOT NULL,
    count bigint NOT NULL,
    reason text NOT NULL,
    PRIMARY KEY (event_id, since)
);

CREATE SEQUENCE fences CACHE 1000; -- unique is enough: a fence is compared, never ordered

CREATE TABLE pending (
    event_id uuid NOT NULL,
    due_at timestamptz NOT NULL, -- identity
    fire_at timestamptz NOT NULL, -- when to act: due_at, or the next attempt
    version integer NOT NULL, -- of the event it is bound to
    origin text NOT NULL CHECK (origin IN ('rule', 'once', 'manual', 'backfill', 'callback')),
    attempt integer NOT NULL DEFAULT 0, -- the number of the last attempt recorded
    starts integer NOT NULL DEFAULT 0, -- requests started since it was opened; a replay starts anew
    losses integer NOT NULL DEFAULT 0, -- workers that died while they may have been at it
    fence bigint, -- of the claim that holds it or held it last
    lease_until timestamptz, -- null: nobody holds it
    worker integer,
    blocked_on text, -- why it is not to be claimed: paused
    wall timestamp, -- the local time that the rule gave
    PRIMARY KEY (event_id, due_at)
) WITH (fillfactor = 60, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 2000);
CREATE INDEX pending_fire ON pending (fire_at);
CREATE INDEX pending_due ON pending (due_at, event_id); -- lists show open and closed as one, in the order of the ledger
CREATE INDEX pending_held ON pending (worker, lease_until) WHERE lease_until IS NOT NULL;

CREATE TABLE occurrence_overrides (
    event_id uuid NOT NULL,
    due_at timestamptz NOT NULL,
    skip boolean NOT NULL DEFAULT false,
    payload jsonb, -- stands in for the event's metadata
    created_at timestamptz NOT NULL,
    PRIMARY KEY (event_id, due_at)
);

CREATE TABLE occurrences (
    event_id uuid NOT NULL,
    due_at timestamptz NOT NULL,
    status text NOT NULL CHECK (status IN ('completed', 'failed', 'skipped', 'cancelled')),
    reason text,
    origin text NOT NULL,
    version integer NOT NULL,
    attempt integer NOT NULL,
    wall timestamp,
    finished_at timestamptz NOT NULL,
    PRIMARY KEY (event_id, due_at)
) PARTITION BY RANGE (due_at);
CREATE INDEX occurrences_due ON occurrences (due_at, event_id);
CREATE INDEX occurrences_failed ON occurrences (due_at, event_id) WHERE status = 'failed';

CREATE TABLE attempts (
    event_id uuid NOT NULL,
    due_at timestamptz NOT NULL,
    attempt integer NOT NULL,
    version integer NOT NULL,
    outcome text NOT NULL CHECK (outcome IN ('delivered', 'failed', 'refused')),
    reason text,
    status_code integer,
    excerpt text,
    started_at timestamptz NOT NULL,
    finished_at timestamptz NOT NULL,
    PRIMARY KEY (event_id, due_at, attempt)
) PARTITION BY RANGE (due_at);

-- A day's pair of partitions. Built apart and attached, because CREATE … PARTITION OF would lock out every writer.
CREATE FUNCTION ensure_ledger_day(day date) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    parent text;
    child text;
BEGIN
    IF day < (SELECT ledger_floor FROM installation) THEN
        RETURN;
    END IF;
    PERFORM pg_advisory_xact_lock(hashtext('qhronos.ledger'));
    FOREACH parent IN ARRAY ARRAY['occurrences', 'attempts'] LOOP
        child := parent || '_' || to_char(day, 'YYYY_MM_DD');
        IF to_regclass(child) IS NULL THEN
            EXECUTE format('CREATE TABLE %I (LIKE %I INCLUDING DEFAULTS INCLUDING CONSTRAINTS)', child, parent);
            EXECUTE format(
                'ALTER TABLE %I ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)',
                parent, child,
                day::timestamp AT TIME ZONE 'UTC', (day + 1)::timestamp AT TIME ZONE 'UTC'
            );
        END IF;
    END LOOP;
END $$;

-- Everything from before the installation shares one pair, so that events of the distant past cannot make partitions
-- without end.
DO $$
DECLARE
    today date := (clock_timestamp() AT TIME ZONE 'UTC')::date;
    floor date := today - 2;
BEGIN
    INSERT INTO installation (ledger_floor) VALUES (floor);
    EXECUTE format(
        'CREATE TABLE occurrences_past PARTITION OF occurrences FOR VALUES FROM (MINVALUE) TO (%L)',
        floor::timestamp AT TIME ZONE 'UTC'
    );
    EXECUTE format(
        'CREATE TABLE attempts_past PARTITION OF attempts FOR VALUES FROM (MINVALUE) TO (%L)',
        floor::timestamp AT TIME ZONE 'UTC'
    );
    FOR ahead IN -2..2 LOOP
        PERFORM ensure_ledger_day(today + ahead);
    END LOOP;
END $$;

-- How many occurrences ended how. Appended to by every settlement, folded to one row a minute by the janitor, so that
-- statistics never count a big table.
CREATE TABLE tallies (
    at timestamptz NOT NULL,
    status text NOT NULL,
    count bigint NOT NULL
);
CREATE INDEX tallies_at ON tallies (at);

-- Processes that hold leases. One that stops beating is dead, and what it held is reclaimed.
CREATE TABLE workers (
    id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL,
    started_at timestamptz NOT NULL,
    heartbeat_at timestamptz NOT NULL
);

CREATE TABLE tokens (
    id uuid PRIMARY KEY, -- the jti
    sub text NOT NULL,
    access text NOT NULL CHECK (access IN ('read', 'write', 'read_write', 'admin')),
    scope text[] NOT NULL,
    issued_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    revoked_at timestamptz
);
CREATE INDEX tokens_revoked ON tokens (revoked_at) WHERE revoked_at IS NOT NULL;

CREATE TABLE idempotency_keys (
    subject text NOT NULL, -- of the token that sent it
    key text NOT NULL,
    request_hash bytea NOT NULL,
    status smallint,
    headers jsonb,
    body bytea,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (subject, key)
);
CREATE INDEX idempotency_keys_age ON idempotency_keys (created_at);

CREATE TABLE audit (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at timestamptz NOT NULL,
    actor text NOT NULL, -- the token's subject
    token_id uuid, -- null: the master token
    action text NOT NULL, -- event.created
    object text NOT NULL, -- the id of what was changed
    request_id text NOT NULL,
    details jsonb NOT NULL -- what changed, never a secret
);
CREATE INDEX audit_object ON audit (object, id);
CREATE INDEX audit_at ON audit (at);
