-- name: record_change
INSERT INTO audit (at, actor, token_id, action, object, request_id, details)
VALUES (%(at)s, %(actor)s, %(token_id)s, %(action)s, %(object)s, %(request_id)s, %(details)s::jsonb);

-- name: list_changes
-- Newest first. The filters meet small indexes or walk the primary key backwards until the page is full.
SELECT id, at, actor, token_id, action, object, request_id, details
FROM audit
WHERE (%(before)s::bigint IS NULL OR id < %(before)s::bigint)
  AND (%(actor)s::text IS NULL OR actor = %(actor)s)
  AND (%(action)s::text IS NULL OR action = %(action)s)
  AND (%(object)s::text IS NULL OR object = %(object)s)
  AND (%(since)s::timestamptz IS NULL OR at >= %(since)s)
  AND (%(until)s::timestamptz IS NULL OR at < %(until)s)
ORDER BY id DESC
LIMIT %(limit)s;
