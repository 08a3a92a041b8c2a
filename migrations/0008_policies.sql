-- What an event asks for beside its rule. Derived from its policies, so that nobody has to keep it in step.

-- Occurrences of one lane take turns: those of an event that must not overlap, those with one concurrency key, and those
-- with one ordering key. What waits for its turn has `blocked_on = 'lane'`.
ALTER TABLE events
    ADD lane text GENERATED ALWAYS AS (
        CASE
            WHEN coalesce(policies ->> 'overlap', 'allow') <> 'allow' THEN 'event ' || id::text
            WHEN policies ->> 'ordering_key' IS NOT NULL THEN 'order ' || (policies ->> 'ordering_key')
            WHEN policies ->> 'concurrency_key' IS NOT NULL THEN 'key ' || (policies ->> 'concurrency_key')
        END
    ) STORED,
    ADD lane_limit integer GENERATED ALWAYS AS (coalesce((policies ->> 'concurrency_limit')::integer, 1)) STORED,
    ADD paused_until timestamptz, -- when it resumes by itself
    ADD resumes_with text; -- and what becomes of its backlog then
CREATE INDEX events_lane ON events (lane) WHERE lane IS NOT NULL;
CREATE INDEX events_resume ON events (paused_until) WHERE paused_until IS NOT NULL;

ALTER TABLE pending
    ADD meant_at timestamptz, -- what it was meant for, once it has waited for something else; null: fire_at
    ADD parent timestamptz, -- of a callback: the due_at of the occurrence whose end it tells
    ADD callback text CHECK (callback IN ('on_success', 'on_failure'));
UPDATE pending SET meant_at = due_at WHERE starts > 0;
CREATE INDEX pending_lane ON pending (event_id) WHERE blocked_on = 'lane';

ALTER TABLE occurrences ADD parent timestamptz, ADD callback text;
