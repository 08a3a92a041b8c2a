-- One occurrence may be moved: it keeps its identity, the instant of the rule, and is acted on at another.
ALTER TABLE occurrence_overrides ADD COLUMN move_to timestamptz;
