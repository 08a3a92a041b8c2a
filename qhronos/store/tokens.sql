-- name: record_token
INSERT INTO tokens (id, sub, access, scope, issued_at, expires_at)
VALUES (%(id)s, %(sub)s, %(access)s, %(scope)s, %(issued_at)s, %(expires_at)s);

-- name: list_tokens
-- Newest first: ids are time-ordered.
SELECT id, sub, access, scope, issued_at, expires_at, revoked_at
FROM tokens
WHERE %(before)s::uuid IS NULL OR id < %(before)s::uuid
ORDER BY id DESC
LIMIT %(limit)s;

-- name: revoke_token
-- Revoking twice keeps the first instant and still says that the token exists.
UPDATE tokens SET revoked_at = coalesce(revoked_at, %(now)s) WHERE id = %(id)s
RETURNING sub;

-- name: list_revoked
-- What has expired as well is refused anyway.
SELECT id FROM tokens WHERE revoked_at IS NOT NULL AND expires_at > %(since)s;
