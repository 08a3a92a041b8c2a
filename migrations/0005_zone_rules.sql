-- A release of the zone rules (tzdata) moves what is open already. Whatever expands an event has the rules that its
-- `tzdata` names, so an event follows to newer rules first: these are found here, and it costs nothing if there is none.
CREATE INDEX events_tzdata ON events (tzdata COLLATE "C") WHERE status IN ('active', 'paused');

-- What following has changed, an instant each.
CREATE TABLE tzdata_changes (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at timestamptz NOT NULL,
    event_id uuid NOT NULL,
    was text NOT NULL, -- versions of the zone rules
    became text NOT NULL,
    change text NOT NULL CHECK (change IN ('moved', 'added', 'removed', 'kept_back')),
    wall timestamp, -- the local time, which stays
    before timestamptz, -- null: added
    after timestamptz -- null: removed
);
CREATE INDEX tzdata_changes_event ON tzdata_changes (event_id, id);
CREATE INDEX tzdata_changes_at ON tzdata_changes (at);
