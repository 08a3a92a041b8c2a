"""What the statements are asked with, by the names of their parameters, over what `seed.sql` plants."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

MANY = 20_000  # events
BATCH = 10

DAY = timedelta(days=1)
JSON, EMPTY = '{"rrule": [], "rdate": []}', "{}"


def each(names: Iterable[str], value: Any) -> dict[str, Any]:
    return dict.fromkeys(names, value)


def event_id(number: int) -> UUID:
    return UUID(f"01900000-0000-7000-8000-{number:012x}")


def samples(now: datetime) -> dict[str, Any]:
    """Of single values, and of the columns of a batch."""
    ids = [event_id(100 * number + 106) for number in range(BATCH)]
    instants = [now + timedelta(minutes=number) for number in range(BATCH)]
    return singles(now) | {
        **each(("ids", "event_ids"), ids),
        **each(("due_ats", "fire_ats", "leases", "sinces", "untils", "befores", "afters", "move_tos"), instants),
        **each(("expanded_untils", "next_due_ats", "next_expand_ats", "started", "finished"), instants),
        **each(("versions", "losses", "codes", "counts", "fences"), list(range(BATCH))),
        **each(("excerpts", "callbacks", "outcomes", "payloads"), [None] * BATCH),
        "reasons": ["missed"] * BATCH,
        "origins": ["rule"] * BATCH,
        "changes": ["moved"] * BATCH,
        "walls": [instant.replace(tzinfo=None) for instant in instants],
        "keys": [f"key-{number}" for number in range(BATCH)],
        "subjects": ["subject-1"] * BATCH,
        "hashes": [b"hash"] * BATCH,
        "headers": [EMPTY] * BATCH,
        "bodies": [b"{}"] * BATCH,
        "lanes": [f"order order-{100 * number + 8}" for number in range(BATCH)],
        "names": ["DE"],
        "days": [now.date()],
        "clients": [f"client-{number}" for number in range(BATCH)],
        "frames": [EMPTY] * BATCH,
        **each(("sizes", "backlogs"), [100] * BATCH),
        "ack_timeouts": [30.0] * BATCH,
        "expire_ats": instants,
        "fallback_ats": [None] * BATCH,
        "modes": ["latest"] * BATCH,
        "generations": list(range(BATCH)),
        "settling": [1],
        "fallbacks": [False] * BATCH,
        "shareds": [True] * BATCH,
    }


def singles(now: datetime) -> dict[str, Any]:
    soon, ago = now + timedelta(seconds=10), now - timedelta(hours=1)
    unsaid = (
        "scope",
        "any_tags",
        "all_tags",
        "statuses",
        "metadata",
        "words",
        "actor",
        "object",
        "created_by",
        "before",
    )
    unsaid += ("before_due_at", "before_event_id", "older_than", "only", "spare", "token_id", "blocked_on", "etag")
    return {
        **each(unsaid, None),
        **each(("now", "begun", "horizon", "seen", "created_at", "updated_at", "start_time", "issued_at", "at"), now),
        **each(("since", "expired", "late", "overdue", "dead_before", "after_fire_at", "after_due_at", "hour"), ago),
        **each(("until", "soon", "due_at", "fire_at", "move_to", "lease_until", "retry_at", "next_fetch_at"), soon),
        **each(("expires_at", "expanded_until", "next_due_at", "next_expand_at"), soon),
        **each(("id", "event_id", "after_event_id"), event_id(106)),
        **each(("name", "description", "timezone", "reason", "error", "checksum", "sub", "request_id"), "words"),
        **each(("version", "worker", "fence", "max_attempts"), 1),
        **each(("recurrence", "policies", "payload", "source", "schedule"), JSON),
        **each(("dates", "weekend", "tags"), []),
        **each(("far", "grace", "fetch_every"), DAY),
        **each(("day", "known_until", "today"), now.date()),
        "heir": event_id(107),
        "key": "key-100",
        "subject": "subject-1",
        "action": EMPTY,
        "access": "read",
        "status": "completed",
        "origin": "once",
        "backlog": "fire_all",
        "tags_match": "any",
        "tzdata": "2026a",
        "was": "2025a",
        "became": "2026a",
        "wall": now.replace(tzinfo=None),
        "secret_hash": bytes(32),
        "last_modified": None,
        "changed": False,
        "by_event": False,
        "limit": 100,
        "most": 20,
        "max_open": 1000,
        "body": b"{}",
        "client": "client-1",
        "generation": 1,
        "after": 0,
        "sent_before": 0,
        "margin": 5.0,
        "shared": False,
        "bytes": 100_000,
    }


# What one statement means otherwise by a name, once for each way in which it is asked.
Ways = Sequence[Mapping[str, Any]]


def ways(now: datetime) -> dict[str, Ways]:
    new = {
        **each(("name", "description", "timezone", "tzdata"), ["words"] * BATCH),
        **each(("recurrence", "action", "metadata", "policies"), [JSON] * BATCH),
        **each(("start_time", "created_at", "expanded_until", "next_due_at", "next_expand_at"), [now] * BATCH),
        "id": [UUID(int=number) for number in range(BATCH)],
        "key": [f"new-{number}" for number in range(BATCH)],
        "schedule": [None] * BATCH,
        "tags": ["{}"] * BATCH,
        "status": ["active"] * BATCH,
    }
    change = {
        "at": [now] * BATCH,
        "token_id": [None] * BATCH,
        **each(("actor", "action", "object", "request_id"), ["words"] * BATCH),
        "details": [EMPTY] * BATCH,
    }
    sealed = {
        "id": [event_id(110)],
        **each(("hmac_sealed", "hmac_previous", "headers_sealed"), [b"sealed"]),
        "hmac_previous_until": [now],
    }
    filters = [
        {"any_tags": ["team-6"]},
        {"all_tags": ["team-6", "all"]},
        {"scope": ["team-6"]},
        {"metadata": '{"n": 77}'},
        {"words": "number 77"},
    ]
    found = {"ids": [event_id(106)]}
    page = {
        "before_due_at": now,
        "before_event_id": event_id(106),
        "reason": None,
        "event_id": None,
        "since": None,
        "until": None,
    }
    return {
        "events.insert_events": [new],
        "events.save_event": [{"key": "key-106", "metadata": JSON, "reason": None, "status": "active"}],
        "events.open_version": [{"version": 2}],
        "events.search_events": filters,
        "events.list_events": [
            {"ids": None},
            {"ids": None, "before": event_id(5000)},
            {"ids": None, "statuses": ["error"]},
            *[wanted | found for wanted in filters],
        ],
        "occurrences.list_occurrences": [
            page,
            page | {"before_due_at": None},
            page | {"event_id": event_id(106)},
            page | {"since": now, "until": now + DAY},
            page | {"statuses": ["failed"]},
            page | {"any_tags": ["team-6"], "by_event": True},
        ],
        "occurrences.find_closed": [
            {"statuses": ["failed"], "event_id": None, "since": now - 2 * DAY, "until": now, "reason": None},
            {"statuses": ["failed"], "event_id": event_id(106), "since": None, "until": None, "reason": None},
        ],
        "outbox.find_waiting": [{"until": 10, "event_id": None, "due_at": None}, {"until": 10}],
        "outbox.pull": [{}, {"shared": True}],
        "occurrences.list_attempts": [{"after": 0}],
        "pending.settle": [{"statuses": ["completed"] * BATCH}],
        "idempotency.claim_keys": [{"statuses": [201] * BATCH}],
        "idempotency.set_answer": [{"headers": EMPTY, "status": 201}],
        "audit.record_changes": [change],
        "audit.list_changes": [
            {"action": None, "since": None, "until": None},
            {"action": None, "since": None, "until": None, "before": 5000},
            {"action": None, "since": None, "until": None, "object": "object-77"},
            {"action": None},
        ],
        "secrets.put_secrets": [sealed],
        "secrets.list_secrets": [{"after": event_id(106)}],
        "ledger.list_active_after": [{"after": event_id(106)}],
        "feeds.record_feed": [{"id": event_id(106), "created_by": "words"}],
        "feeds.list_feeds": [{}, {"created_by": "subject-1"}],
        "feeds.stamp_feed": [{}, {"any_tags": ["team-6"]}],
        "tokens.record_token": [{"scope": []}],
        "tallies.count_events": [{}, {"scope": ["team-6"]}],
        "tallies.count_open_in_scope": [{"scope": ["team-6"]}],
        "tallies.sum_closed": [{"day": now - DAY}],
        "changes.write_override": [{"payload": EMPTY}],
        "changes.has_day": [{"day": now.date()}],
        "calendars.list_calendars": [{"after": None}],
        "calendars.list_users": [{"after": None, "name": "DE"}],
        "calendars.put_calendar": [{"source": EMPTY}],
        "zonerules.find_behind": [{}],
        "zonerules.list_changes": [{"event_id": None, "since": None}, {"since": None}],
        **each(
            (
                "upkeep.purge_past",
                "upkeep.purge_events",
                "upkeep.purge_clients",
                "upkeep.purge_audit",
                "upkeep.purge_tzdata_changes",
                "upkeep.purge_tallies",
            ),
            [{"before": now - 13 * DAY}],
        ),
        "upkeep.purge_idempotency_keys": [{"before": now - timedelta(hours=5.4)}],
        "upkeep.purge_tokens": [{"before": now - DAY}],
        "pending.find_overdue": [{"before": now}],
        "upkeep.list_old_days": [{"before": now.date()}],
        "pending.forget_workers": [{"before": now}],
    }
