"""Minted tokens: what they say, never the token itself."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from msgspec import Struct
from psycopg.rows import class_row

from qhronos.store import Connection, load_sql

SQL = load_sql("tokens")


class TokenRow(Struct, frozen=True, kw_only=True):
    id: UUID
    sub: str
    access: str
    scope: list[str]
    issued_at: datetime
    expires_at: datetime
    revoked_at: datetime | None = None


async def record(conn: Connection, token: TokenRow) -> None:
    await conn.execute(
        SQL["record_token"],
        {
            "id": token.id,
            "sub": token.sub,
            "access": token.access,
            "scope": token.scope,
            "issued_at": token.issued_at,
            "expires_at": token.expires_at,
        },
    )


async def page(conn: Connection, before: UUID | None, limit: int) -> list[TokenRow]:
    async with conn.cursor(row_factory=class_row(TokenRow)) as cursor:
        await cursor.execute(SQL["list_tokens"], {"before": before, "limit": limit})
        return await cursor.fetchall()


async def revoke(conn: Connection, token_id: UUID, now: datetime) -> str | None:
    """The subject of the token, or None if there is no such token."""
    row = await (await conn.execute(SQL["revoke_token"], {"id": token_id, "now": now})).fetchone()
    return row[0] if row else None


async def list_revoked(conn: Connection, since: datetime) -> frozenset[UUID]:
    """Revoked tokens that would otherwise still hold at `since`."""
    rows = await (await conn.execute(SQL["list_revoked"], {"since": since})).fetchall()
    return frozenset(row[0] for row in rows)
