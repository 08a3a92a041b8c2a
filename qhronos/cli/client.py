"""The API as the other commands see it: found by itself, spoken to by the standard library, errors in our own words."""

from __future__ import annotations

import functools
import http
import http.client
import json
import os
import secrets
import ssl
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote, urlencode, urlsplit

import click

from qhronos import errors
from qhronos.cli import options
from qhronos.cli.home import read_environment

TIMEOUT = 30.0
ERRORS: dict[int, type[errors.Refusal]] = {
    400: errors.Malformed,
    401: errors.Unauthenticated,
    403: errors.Denied,
    404: errors.NotFound,
    409: errors.Conflict,
    410: errors.Gone,
    412: errors.Outdated,
    413: errors.TooLarge,
    422: errors.Invalid,
}


class Api(NamedTuple):
    url: str
    token: str | None

    def get(self, path: str, **query: object) -> Any:
        """Query parameters that are None or empty are left out; a tuple is repeated."""
        pairs = [(key, item) for key, value in query.items() for item in _items(value)]
        return self.request("GET", f"{path}?{urlencode(pairs)}" if pairs else path)

    def post(self, path: str, body: object = None) -> Any:
        # Made once, so that a repeat after a lost answer does the work once.
        return self.request("POST", path, body, {"Idempotency-Key": secrets.token_hex(16)})

    def put(self, path: str, body: object) -> Any:
        return self.request("PUT", path, body)

    def patch(self, path: str, body: object) -> Any:
        return self.request("PATCH", path, body)

    def delete(self, path: str) -> Any:
        return self.request("DELETE", path)

    def request(self, method: str, path: str, body: object = None, headers: Mapping[str, str] | None = None) -> Any:
        """The decoded answer, or None. Raises a Refusal, Unavailable or Unreachable."""
        content = self._sent(method, path, body, headers or {})
        return json.loads(content) if content else None

    def fetch(self, path: str, **query: object) -> bytes:
        """A file, as it is. Query and errors as in `get`."""
        pairs = [(key, item) for key, value in query.items() for item in _items(value)]
        return self._sent("GET", f"{path}?{urlencode(pairs)}", None, {})

    def _sent(self, method: str, path: str, body: object, headers: Mapping[str, str]) -> bytes:
        payload = None if body is None else json.dumps(body)
        sent = {"Accept": "application/json", **headers}
        if payload is not None:
            sent["Content-Type"] = "application/json"
        if self.token:
            sent["Authorization"] = f"Bearer {self.token}"
        answer, content = self._exchange(method, path, payload, sent)
        if answer.status >= 300:
            raise _error(answer, content)
        return content

    def _exchange(
        self, method: str, path: str, payload: str | None, headers: Mapping[str, str]
    ) -> tuple[http.client.HTTPResponse, bytes]:
        try:
            place = urlsplit(self.url)
            with closing(_connection(place.scheme, place.hostname or "", place.port)) as connection:
                connection.request(method, place.path.rstrip("/") + path, payload, dict(headers))
                answer = connection.getresponse()
                return answer, answer.read()
        except TimeoutError as error:
            raise errors.Unreachable("timeout", f"{self.url} does not answer within {TIMEOUT:g} s") from error
        except ssl.SSLError as error:
            raise errors.Unreachable("tls", f"{self.url}: {error.reason}") from error
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise errors.Unreachable("connect", f"cannot reach {self.url} ({error}); does it run?") from error


def uses_api(command: Callable[..., int | None]) -> Callable[..., int | None]:
    """Give `command` the argument `api`, from flags, environment or the `up` that runs on this machine."""

    @options.home
    @click.option("--token", metavar="TOKEN", help="Who asks.  [default: $QHRONOS_TOKEN, else found]")
    @click.option("--api", "api_url", metavar="URL", help="Where the API is.  [default: $QHRONOS_URL, else found]")
    @functools.wraps(command)
    def wrapped(*, home: Path, token: str | None, api_url: str | None, **rest: Any) -> int | None:
        return command(api=find(home, api_url, token), **rest)

    return wrapped


def find(home: Path, url: str | None, token: str | None) -> Api:
    """A token that was found goes nowhere but to the `up` that it was found with."""
    url = url or os.environ.get("QHRONOS_URL")
    token = token or os.environ.get("QHRONOS_TOKEN")
    running = {} if url and token else read_environment(home) or {}
    if not url:
        url = running.get("QHRONOS_URL")
    if not url:
        raise errors.Unreachable("connect", f"no `qhronos up` with an API runs on {home}; start it, or set QHRONOS_URL")
    if not token and url == running.get("QHRONOS_URL"):
        token = running.get("QHRONOS_TOKEN")
    return Api(url, token)


def segment(text: str) -> str:
    """One part of a path, whatever is in it."""
    return quote(text, safe="")


def _items(value: object) -> list[str]:
    match value:
        case None | "" | False:
            return []
        case tuple() | list():
            return [str(item) for item in value]
        case _:
            return [str(value)]


def _connection(scheme: str, host: str, port: int | None) -> http.client.HTTPConnection:
    match scheme:
        case "http":
            return http.client.HTTPConnection(host, port, timeout=TIMEOUT)
        case "https":
            return http.client.HTTPSConnection(host, port, timeout=TIMEOUT)
        case _:
            raise ValueError("the URL must start with http:// or https://")


def _error(answer: http.client.HTTPResponse, content: bytes) -> errors.QhronosError:
    """What the API refused, as the error that it was there."""
    try:
        problem = json.loads(content)
        message = str(problem["error"])
        reference = f" (request {problem['request_id']})" if problem.get("request_id") else ""
    except (ValueError, TypeError, KeyError):
        message, reference = f"{answer.status} {answer.reason} from something that is not Qhronos", ""
    if answer.status == http.HTTPStatus.TOO_MANY_REQUESTS:
        seconds = answer.headers.get("Retry-After", "1")
        return errors.Throttled(f"{message}; try again in {seconds} s", retry_after=int(seconds))
    if answer.status in ERRORS:
        return ERRORS[answer.status](message + reference)
    return errors.QhronosError(f"the API failed: {message}{reference}")
