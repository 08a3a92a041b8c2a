"""Tokens: minted by the master token, listed and revoked by admins. A token is shown once and kept nowhere."""

from __future__ import annotations

import os
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Annotated, Literal
from uuid import UUID

import msgspec
from litestar import delete, get, post
from litestar.params import FromPath, JSONBody
from msgspec import Meta, Struct

from qhronos.api.access import needs
from qhronos.api.auth import MASTER_SUBJECT, Access, Caller, Grant, Scope, Subject
from qhronos.api.deps import Deps, Given
from qhronos.api.paging import Page, Paging, decode_cursor, page_of
from qhronos.api.reading import Moment, Request, parse_uuid
from qhronos.api.requests import actor_of
from qhronos.core.duration import parse
from qhronos.core.ids import RANDOM_BYTES, time_ordered_id
from qhronos.errors import Invalid, NotFound, Unavailable
from qhronos.store import audit, tokens

Grantable = Literal["read", "write", "read_write", "admin"]
EXAMPLE = {"sub": "billing", "access": "read_write", "scope": ["billing"], "expires_in": "30d"}
Lifetime = Annotated[int | str, Meta(description="Seconds, or a duration such as `24h` or `30d`.")]


class NewToken(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    sub: Annotated[Subject, Meta(description="Whom the token is for; the audit and the rate limit go by it.")]
    access: Annotated[
        Grantable, Meta(description="`read` < `write` < `read_write` < `admin`; each includes those before it.")
    ]
    scope: Annotated[Scope, Meta(description="Tags: the token sees and touches only events with one of them.")] = ()
    expires_at: Moment | None = None
    expires_in: Lifetime | None = None
    type: Literal["jwt"] = "jwt"


class TokenView(Struct, frozen=True, kw_only=True):
    id: UUID
    sub: str
    access: str
    scope: list[str]
    issued_at: Moment
    expires_at: Moment
    revoked_at: Moment | None


class MintedToken(Struct, frozen=True, kw_only=True):
    """`token` is shown this once."""

    id: UUID
    token: str
    type: str
    sub: str
    access: str
    scope: list[str]
    issued_at: Moment
    expires_at: Moment


@post("/tokens", status_code=200, opt=needs(Access.MASTER, example=EXAMPLE), tags=["tokens"], summary="Mint a token")
async def create_token(
    deps: Given[Deps], caller: Given[Caller], request: Request, data: JSONBody[NewToken]
) -> MintedToken:
    now = deps.clock.now()
    row = _to_row(data, now, deps.config.auth.max_lifetime)
    grant = Grant(row.id, row.sub, Access(row.access), tuple(row.scope), row.issued_at, row.expires_at)
    # Minted first: what cannot be signed must not be recorded.
    token = deps.keyring.mint(grant)
    details = {"sub": row.sub, "access": row.access, "scope": row.scope, "expires_at": row.expires_at}
    async with deps.database.transaction() as conn:
        await tokens.record(conn, row)
        await audit.record(conn, actor_of(caller, request).did("token.created", row.id, now, details))
    return MintedToken(
        id=row.id,
        token=token,
        type=data.type,
        sub=row.sub,
        access=row.access,
        scope=row.scope,
        issued_at=row.issued_at,
        expires_at=row.expires_at,
    )


@get("/tokens", opt=needs(Access.ADMIN), tags=["tokens"], summary="List tokens, newest first")
async def list_tokens(deps: Given[Deps], wanted: Given[Paging]) -> Page[TokenView]:
    async with deps.database.connection() as conn:
        rows = await tokens.page(conn, decode_cursor(wanted.cursor, UUID), wanted.limit + 1)
    views = [msgspec.convert(row, TokenView, from_attributes=True) for row in rows]
    return page_of(views, wanted.limit, lambda view: view.id)


@delete("/tokens/{token_id:str}", opt=needs(Access.ADMIN), tags=["tokens"], summary="Revoke a token")
async def revoke_token(deps: Given[Deps], caller: Given[Caller], request: Request, token_id: FromPath[str]) -> None:
    """It is refused here at once and everywhere within seconds."""
    wanted = parse_uuid(token_id, "no such token")
    now = deps.clock.now()
    async with deps.database.transaction() as conn:
        subject = await tokens.revoke(conn, wanted, now)
        if subject is None:
            raise NotFound("no such token")
        await audit.record(conn, actor_of(caller, request).did("token.revoked", wanted, now, {"sub": subject}))
    deps.revocations.add(wanted)
    # The others read the list anyway; the bell only hurries them.
    with suppress(Unavailable):
        await deps.broadcast.token_revoked(wanted)


def _to_row(data: NewToken, now: datetime, max_lifetime: timedelta) -> tokens.TokenRow:
    if data.sub == MASTER_SUBJECT:
        raise Invalid("sub: this name is the master token's", field="sub")
    if not data.scope and data.access != "admin":
        raise Invalid("scope: name at least one tag; only an admin sees everything", field="scope")
    issued_at = now.replace(microsecond=0)
    return tokens.TokenRow(
        id=time_ordered_id(now, os.urandom(RANDOM_BYTES)),
        sub=data.sub,
        access=data.access,
        scope=list(dict.fromkeys(data.scope)),
        issued_at=issued_at,
        expires_at=issued_at + _lifetime(data, issued_at, max_lifetime),
    )


def _lifetime(data: NewToken, issued_at: datetime, longest: timedelta) -> timedelta:
    """In whole seconds, because a JWT knows no others."""
    if (data.expires_at is None) == (data.expires_in is None):
        raise Invalid("expires_at: give either expires_at or expires_in", field="expires_at")
    field = "expires_in" if data.expires_at is None else "expires_at"
    try:
        lifetime = parse(data.expires_in) if data.expires_at is None else data.expires_at - issued_at
    except (ValueError, OverflowError) as error:
        raise Invalid(f"{field}: {error}", field=field) from error
    if lifetime < timedelta(seconds=1):
        raise Invalid(f"{field}: is in the past", field=field)
    if lifetime > longest:
        raise Invalid(f"{field}: a token lives {longest.days} days at most (auth.max_lifetime)", field=field)
    return timedelta(seconds=int(lifetime.total_seconds()))


HANDLERS = [create_token, list_tokens, revoke_token]
