-- What is free and overdue is looked for in the order of its pages, so that a page costs the same however many are due at one
-- instant. What is held is not looked for, so a claim has one index less to write.

CREATE INDEX pending_free ON pending (fire_at, event_id, due_at) WHERE lease_until IS NULL AND blocked_on IS NULL;
DROP INDEX pending_fire;
