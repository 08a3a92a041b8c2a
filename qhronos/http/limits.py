"""What an endpoint may cost us, and what a connection to it may."""

from __future__ import annotations

from msgspec import Struct


class Limits(Struct, frozen=True, kw_only=True):
    """The defaults are those that deliveries run with. Above them all stands the deadline of each request."""

    lookup_seconds: float = 2.0
    connect_seconds: float = 5.0  # over all addresses of a name
    tls_seconds: float = 5.0
    most_headers: int = 100
    most_header_bytes: int = 16 * 1024  # interim responses and trailers included
    most_interim: int = 5  # 1xx before the response
    most_body: int = 64 * 1024  # bytes of a response, where the request does not ask for more
    most_crumbs: int = 1_000  # pieces that a body comes in, if they are small on average
    crumb_bytes: int = 64  # what is smaller is small
    most_addresses: int = 4  # of one name that are tried
    most_redirects: int = 3  # where the request asks for any
    connections_per_origin: int = 128  # and requests under way, at most
    least_per_origin: int = 10  # requests under way to an origin that is slow, or not known yet
    fast_seconds: float = 0.5  # an answer within it makes room for more
    slow_seconds: float = 2.0  # one that takes longer makes it less
    rate_per_origin: float = 0.0  # requests a second; 0: as many as there are
    patience_seconds: float = 0.1  # how long a turn is waited for, where answers come within it
    most_waiting: int = 128  # for a turn, at one origin
    most_lookups: int = 256  # of names, at once
    age_seconds: float = 60.0  # of a connection that is used again
    tidy_seconds: float = 15.0  # between two looks for connections that are too old
    remember_seconds: float = 30.0  # what a name was found to stand for
    most_remembered: int = 10_000  # names


USUAL = Limits()
