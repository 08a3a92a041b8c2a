"""Feeds: calendars to subscribe to. Their address is their only secret; it is shown once and kept nowhere."""

from __future__ import annotations

import asyncio
import hashlib
import os
import secrets
from datetime import UTC, datetime, time
from email.utils import format_datetime
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
from litestar import Response, delete, get, post
from litestar.params import FromPath, JSONBody
from msgspec import Meta, Struct

from qhronos import __version__
from qhronos.api.access import needs, refuse_excess
from qhronos.api.auth import Access, Caller
from qhronos.api.deps import Deps, Given
from qhronos.api.event_body import Tags
from qhronos.api.exports import HORIZON, ICS, MOST, entries_of
from qhronos.api.paging import Page, Paging, decode_cursor, page_of
from qhronos.api.reading import Moment, Request, parse_uuid
from qhronos.api.requests import TAG, actor_of
from qhronos.core.feed import calendar
from qhronos.core.ids import RANDOM_BYTES, time_ordered_id
from qhronos.core.recurrence import tzdata_version
from qhronos.errors import NotFound, Throttled
from qhronos.store import audit, feeds
from qhronos.store.feeds import Feed, Stamp

SECRET_BYTES = 32
NO_FEED = "no such feed"
SUFFIX = ".ics"
SHORT = {"Cache-Control": "private, max-age=300"}


class NewFeed(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    name: Annotated[str, Meta(min_length=1, max_length=255, description="What calendars call it.")]
    tags: Annotated[Tags, Meta(description="Shows events with these. Left out: all that the token sees.")] = ()
    tags_match: Literal["any", "all"] = "any"


class FeedView(Struct, frozen=True, kw_only=True):
    id: UUID
    name: str
    tags: tuple[str, ...]
    tags_match: str
    scope: Annotated[tuple[str, ...] | None, Meta(description="Of the token that made it; null: everything.")]
    created_by: str
    created_at: Moment
    revoked_at: Moment | None


class MadeFeed(FeedView, frozen=True, kw_only=True):
    """`url` is shown this once."""

    url: str


WRITES: dict[str, Any] = {
    "opt": needs(Access.WRITE, example={"name": "Reports", "tags": ["reports"]}),
    "tags": ["feeds"],
}


@post("/feeds", **WRITES, status_code=200, summary="Make a feed")
async def create_feed(deps: Given[Deps], caller: Given[Caller], request: Request, data: JSONBody[NewFeed]) -> MadeFeed:
    """It shows what the token sees, for as long as neither of the two is revoked."""
    now = deps.clock.now()
    secret = secrets.token_urlsafe(SECRET_BYTES)
    feed = Feed(
        id=time_ordered_id(now, os.urandom(RANDOM_BYTES)),
        name=data.name,
        tags=list(dict.fromkeys(data.tags)),
        tags_match=data.tags_match,
        scope=caller.visible,
        created_by=caller.subject,
        token_id=caller.token_id,
        created_at=now,
    )
    details = {"name": feed.name, "tags": feed.tags, "scope": feed.scope}
    async with deps.database.transaction() as conn:
        await feeds.record(conn, feed, _hash(secret))
        await audit.record(conn, actor_of(caller, request).did("feed.created", feed.id, now, details))
    url = f"{str(request.base_url).rstrip('/')}/calendar/{secret}{SUFFIX}"
    return MadeFeed(**msgspec.structs.asdict(_view(feed)), url=url)


@get("/feeds", opt=needs(Access.READ), tags=["feeds"], summary="List feeds, newest first")
async def list_feeds(deps: Given[Deps], caller: Given[Caller], wanted: Given[Paging]) -> Page[FeedView]:
    """Those of the same subject; admins see all."""
    async with deps.database.connection() as conn:
        rows = await feeds.page(conn, _owner(caller), decode_cursor(wanted.cursor, UUID), wanted.limit + 1)
    return page_of([_view(row) for row in rows], wanted.limit, lambda view: view.id)


@delete("/feeds/{feed_id:str}", opt=needs(Access.WRITE), tags=["feeds"], summary="Revoke a feed")
async def revoke_feed(deps: Given[Deps], caller: Given[Caller], request: Request, feed_id: FromPath[str]) -> None:
    """Its address answers 404 from now on."""
    wanted, now = parse_uuid(feed_id, NO_FEED), deps.clock.now()
    async with deps.database.transaction() as conn:
        name = await feeds.revoke(conn, wanted, _owner(caller), now)
        if name is None:
            raise NotFound(NO_FEED)
        await audit.record(conn, actor_of(caller, request).did("feed.revoked", wanted, now, {"name": name}))


@get(
    "/calendar/{feed_file:str}",
    opt=needs(
        Access.PUBLIC,
        Throttled,
        headers={"If-None-Match": "The ETag of what you have; 304 if it is still that."},
        also=(304,),
        texts=("text/calendar",),
    ),
    tags=["feeds"],
    summary="Read a feed",
)
async def read_feed(deps: Given[Deps], request: Request, feed_file: FromPath[str]) -> Response[bytes]:
    """An iCalendar file, `text/calendar`, of what is due within a year. Whoever knows the address may read it."""
    peer = request.client.host if request.client else ""
    await _limit(deps, f"calendar {peer}")
    now = deps.clock.now()
    async with deps.database.connection() as conn:
        feed = await feeds.find(conn, _hash(feed_file.removesuffix(SUFFIX))) if feed_file.endswith(SUFFIX) else None
        if feed is None:
            raise NotFound(NO_FEED)
        stamp = await feeds.stamp(conn, feed, MOST + 1)
    headers = {**SHORT, "ETag": f'"{_etag(feed, stamp, now)}"', "Last-Modified": _last_modified(feed, stamp, now)}
    if _has(request, headers["ETag"]):
        return Response(b"", status_code=304, headers=headers)
    await _limit(deps, f"feed {feed.id}")
    content = await _render(deps, feed, now)
    return Response(content, headers={**headers, "Content-Type": ICS})


async def _render(deps: Deps, feed: Feed, now: datetime) -> bytes:
    entries = await entries_of(deps, feed.shown, feed.scope)
    name = feed.name if len(entries) <= MOST else f"{feed.name} (the newest {MOST} events)"
    return await asyncio.to_thread(calendar, name, entries[:MOST], now, HORIZON)


async def _limit(deps: Deps, subject: str) -> None:
    if deps.config.rate_limit.enabled:
        refuse_excess(await deps.limiter.take(subject))


def _etag(feed: Feed, stamp: Stamp, now: datetime) -> str:
    """Of all that the bytes depend on: they are the same for the same events on the same day."""
    parts = (feed.id, stamp.digest, now.astimezone(UTC).date(), __version__, tzdata_version())
    return hashlib.sha256(" ".join(map(str, parts)).encode()).hexdigest()[:32]


def _last_modified(feed: Feed, stamp: Stamp, now: datetime) -> str:
    day = datetime.combine(now.astimezone(UTC), time.min, UTC)
    return format_datetime(max(day, feed.created_at, stamp.updated_at or day).astimezone(UTC), usegmt=True)


def _has(request: Request, etag: str) -> bool:
    given = ",".join(request.headers.getall("If-None-Match", []))
    tags = (TAG.fullmatch(part) for part in given.split(","))
    return given.strip() == "*" or any(f'"{tag[1]}"' == etag for tag in tags if tag)


def _owner(caller: Caller) -> str | None:
    return None if caller.unrestricted else caller.subject


def _view(feed: Feed) -> FeedView:
    return msgspec.convert(feed, FeedView, from_attributes=True)


def _hash(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()


HANDLERS = [create_feed, list_feeds, revoke_feed, read_feed]
