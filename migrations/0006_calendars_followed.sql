-- Calendars keep up by themselves: followed files and the holidays of countries are read again, and what has changed is
-- copied into every event that names them, however often that is cut short.
ALTER TABLE calendars
    ADD COLUMN last_modified text, -- as whoever was asked has dated what was fetched last
    ADD COLUMN fetch_every interval, -- null: it is not read again
    ADD COLUMN changed_at timestamptz NOT NULL DEFAULT now(), -- what it says
    ADD COLUMN followed_at timestamptz; -- null: events that name it may have older copies
CREATE INDEX calendars_fetch ON calendars (next_fetch_at) WHERE next_fetch_at IS NOT NULL;

UPDATE calendars SET next_fetch_at = now(), fetch_every = '7 days' WHERE source ? 'country';
