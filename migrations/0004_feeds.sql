-- Calendars that anybody may read who knows their address, and who may know it is up to whoever made them.
CREATE TABLE feeds (
    id uuid PRIMARY KEY, -- time-ordered
    secret_hash bytea NOT NULL UNIQUE, -- SHA-256 of what the address ends with, which is kept nowhere
    name text NOT NULL,
    tags text[] NOT NULL, -- shows events with these; empty: with any
    tags_match text NOT NULL CHECK (tags_match IN ('any', 'all')),
    scope text[], -- of the token that made it, for ever; null: everything
    created_by text NOT NULL, -- the subject of that token
    token_id uuid, -- that token, which must not have been revoked; null: the master token
    created_at timestamptz NOT NULL,
    revoked_at timestamptz
);
