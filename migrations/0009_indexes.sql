-- Three statements read a whole table, as a test that explains every statement over many rows has shown: whoever lists their own
-- feeds, and the janitor as it looks for tokens that have expired and for history of before the installation.

CREATE INDEX feeds_creator ON feeds (created_by, id);
CREATE INDEX tokens_expiry ON tokens (expires_at);
CREATE INDEX occurrences_past_finished ON occurrences_past (finished_at);
