"""Every metric, in one registry. Labels take few values: no ids, no URLs, no names that users choose."""

from __future__ import annotations

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    generate_latest,
)

REGISTRY = CollectorRegistry()
CONTENT_TYPE = CONTENT_TYPE_LATEST
LATENESS_BUCKETS = (
    *(0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5),
    *(1, 2.5, 5, 10, 30, 60, 300, 900, 3600),
)
REQUEST_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)


def _counter(name: str, help_text: str, *labels: str) -> Counter:
    return Counter(name, help_text, labels, namespace="qhronos", registry=REGISTRY)


def _gauge(name: str, help_text: str, *labels: str) -> Gauge:
    return Gauge(name, help_text, labels, namespace="qhronos", registry=REGISTRY)


def _histogram(name: str, help_text: str, *labels: str, buckets: tuple[float, ...] = REQUEST_BUCKETS) -> Histogram:
    return Histogram(name, help_text, labels, namespace="qhronos", registry=REGISTRY, buckets=buckets)


ProcessCollector(registry=REGISTRY)

BUILD_INFO = _gauge("build_info", "Always 1; the labels say what runs.", "version", "tzdata")

# The life of an occurrence, from the rule to the ledger.
OCCURRENCES_PLANNED = _counter(
    "occurrences_planned", "Occurrences opened: by rules, by hand, by resuming and by replay."
)
OCCURRENCES_CLOSED = _counter("occurrences_closed", "Occurrences that reached their last status.", "status")
LATENESS_SECONDS = _histogram(
    "lateness_seconds", "From due to the start of the first attempt.", buckets=LATENESS_BUCKETS
)
DELIVERY_DURATION_SECONDS = _histogram(
    "delivery_duration_seconds", "From the start of an attempt to its outcome.", "type", "outcome"
)
ATTEMPTS = _counter("attempts", "Attempts by how they ended.", "type", "outcome")

PARKED = _counter("parked", "Occurrences put off without an attempt, by what there was no room in.", "cause")

BREAKER_CHANGES = _counter("breaker_changes", "Breakers that opened, reopened after a probe, or closed.", "became")

# What faults cost, and what brought it back.
FENCED_COMPLETIONS = _counter("fenced_completions", "Settlements that changed nothing: the claim was no longer theirs.")
RECLAIMED = _counter("reclaimed", "Occurrences taken back from workers that died.")
REBUILDS = _counter("rebuilds", "Times that the plan was rebuilt from Postgres.")
SWEEP_RECOVERED = _counter("sweep_recovered", "Overdue occurrences that were missing from the plan.")
LEDGER_MISSING = _gauge("ledger_missing", "Instants that were promised in the last hours and are not recorded.")

# Where this process stands.
OVERDUE_SECONDS_MAX = _gauge("overdue_seconds_max", "By how much the oldest free occurrence is overdue.")
HELD = _gauge("held", "Claimed occurrences waiting here for their instant.")
IN_FLIGHT = _gauge("in_flight", "Attempts under way here.")
BREAKERS_OPEN = _gauge("breakers_open", "Endpoints that are given a rest, as this process knows.")
CLOCK_OFFSET_SECONDS = _gauge("clock_offset_seconds", "The wall clock here minus Postgres' clock.")
CLOCK_SKEW_SECONDS = _gauge(
    "clock_skew_seconds",
    "By how much Postgres' clock is off the wall clock here or Redis', whichever is closer. Beyond 5 nothing is claimed.",
)
TICK_SECONDS = _histogram("tick_seconds", "One pass of a background service.", "service")
DB_POOL = _gauge("db_pool", "Connections to Postgres, and callers that wait for one.", "state")

GATEWAY_CONNECTIONS = _gauge(
    "gateway_connections", "Sockets that are served here, by the type of their handshake; `stream` is HTTP.", "type"
)
GATEWAY_FRAMES = _counter(
    "gateway_frames", "Event frames sent here: to a client, to one again, or to a listener.", "receiver"
)

MESSAGES_WAITING = _gauge("messages_waiting", "Messages that no client has acknowledged yet, in all outboxes.")
MESSAGES_OLDEST_SECONDS = _gauge("messages_oldest_seconds", "For how long the oldest of them has waited.")
MESSAGES_TAKEN_BACK = _counter(
    "messages_taken_back",
    "Messages that nobody acknowledged in time, or as often as they were sent, and a fallback took over.",
)

HTTP_REQUEST_SECONDS = Histogram(
    "http_server_request_duration_seconds",
    "Requests to the API, by route template.",
    ("route", "method", "status"),
    registry=REGISTRY,
    buckets=REQUEST_BUCKETS,
)


def set_build_info(version: str, tzdata: str) -> None:
    BUILD_INFO.labels(version, tzdata).set(1)


def render() -> bytes:
    """The text of /metrics, to be served as CONTENT_TYPE."""
    return generate_latest(REGISTRY)
