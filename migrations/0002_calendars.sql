-- Business calendars: days on which events that name them do not happen. What a calendar says is copied into each
-- recurrence that names it, so that expanding asks nobody; this is where the copies come from.
CREATE TABLE calendars (
    name text PRIMARY KEY,
    source jsonb NOT NULL, -- where the dates come from: a country, or nothing but themselves
    weekend text[] NOT NULL, -- weekdays that are closed, such as SA
    dates date[] NOT NULL, -- that are closed, in order
    known_until date NOT NULL, -- of later dates nothing is known
    etag text, -- of what was fetched last
    fetched_at timestamptz,
    next_fetch_at timestamptz, -- null: it is not fetched
    error text, -- why the last fetch failed; the dates before it stay in force
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL
);

-- Which events name a calendar: few do, and those that do not cost nothing here.
CREATE INDEX events_calendars ON events USING gin ((recurrence #> '{business,calendars}'))
WHERE recurrence #> '{business,calendars}' IS NOT NULL;
