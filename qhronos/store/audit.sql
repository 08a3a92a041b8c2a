-- name: record_changes
INSERT INTO audit (at, actor, token_id, action, object, request_id, details)
SELECT at, actor, token_id, action, object, request_id, details::jsonb
FROM unnest(
    %(at)b::timestamptz[], %(actor)b::text[], %(token_id)b::uuid[], %(action)b::text[], %(object)b::text[],
    %(request_id)b::text[], %(details)b::text[]
) AS t (at, actor, token_id, action, object, request_id, details);

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
