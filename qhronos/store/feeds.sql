-- name: record_feed
INSERT INTO feeds (id, secret_hash, name, tags, tags_match, scope, created_by, token_id, created_at)
VALUES (
    %(id)s, %(secret_hash)s, %(name)s, %(tags)s::text[], %(tags_match)s, %(scope)s::text[], %(created_by)s, %(token_id)s,
    %(created_at)s
);

-- name: list_feeds
-- Newest first: ids are time-ordered. Whoever is no admin sees their own.
SELECT id, name, tags, tags_match, scope, created_by, token_id, created_at, revoked_at
FROM feeds
WHERE (%(before)s::uuid IS NULL OR id < %(before)s::uuid)
    AND (%(created_by)s::text IS NULL OR created_by = %(created_by)s::text)
ORDER BY id DESC
LIMIT %(limit)s;

-- name: revoke_feed
-- Revoking twice keeps the first instant and still says that the feed exists.
UPDATE feeds SET revoked_at = coalesce(revoked_at, %(now)s)
WHERE id = %(id)s AND (%(created_by)s::text IS NULL OR created_by = %(created_by)s::text)
RETURNING name;

-- name: find_feed
-- A token that is revoked takes its feeds along: whoever held it is no longer trusted.
SELECT id, name, tags, tags_match, scope, created_by, token_id, created_at, revoked_at
FROM feeds AS f
WHERE secret_hash = %(secret_hash)s AND revoked_at IS NULL
    AND NOT EXISTS (SELECT FROM tokens AS t WHERE t.id = f.token_id AND t.revoked_at IS NOT NULL);

-- name: stamp_feed
-- Differs whenever what the feed shows does, and costs less than showing it.
SELECT md5(coalesce(string_agg(concat_ws(' ', id, version, status, updated_at), ',' ORDER BY id), '')), max(updated_at)
FROM (
    SELECT id, version, status, updated_at FROM events
    WHERE status <> 'deleted'
        AND (%(scope)s::text[] IS NULL OR tags && %(scope)s::text[])
        AND (%(any_tags)s::text[] IS NULL OR tags && %(any_tags)s::text[])
        AND (%(all_tags)s::text[] IS NULL OR tags @> %(all_tags)s::text[])
    ORDER BY id DESC
    LIMIT %(limit)s
) AS shown;
