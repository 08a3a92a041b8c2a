"""Call any HTTP interface: method, headers and body as the user wrote them. Named, but not signed."""

from __future__ import annotations

import re
from typing import Annotated, Literal, Self, TypeAlias

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from qhronos.actions import endpoint, hidden
from qhronos.actions.base import Act, Means
from qhronos.actions.oauth2 import OAuth2, check
from qhronos.core.attempt import Delivery
from qhronos.errors import Invalid
from qhronos.http import Egress, Request, headers
from qhronos.http.guard import vet_url

LONGEST_BODY = 256 * 1024
CLASS = re.compile(r"[2-5]xx")
NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")

Method: TypeAlias = Literal["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"]


class Params(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    method: Method
    url: str
    headers: hidden.Given = {}
    auth: OAuth2 | None = None
    body: msgspec.Raw | UnsetType = UNSET  # a string is sent as it is, anything else as JSON
    follow_redirects: Annotated[int, Meta(ge=0, le=3)] = 0
    success: Annotated[tuple[int | str, ...], Meta(min_length=1, max_length=20)] = ("2xx",)


class ApiCall(Struct, frozen=True, tag_field="type", tag="apicall", forbid_unknown_fields=True):
    params: Params

    @classmethod
    def example(cls, url: str) -> Self:
        return cls(Params(method="POST", url=url, body=msgspec.Raw(b'"ping"')))

    @property
    def legacy(self) -> None:
        return None

    def vet(self, egress: Egress, field: str) -> None:
        if not self.params.url:
            raise Invalid("URL is required for apicall action params", field=f"{field}.url")
        vet_url(self.params.url, egress, f"{field}.url")
        hidden.check(self.params.headers, f"{field}.headers")
        check(self.params.auth, self.params.headers, egress, field)
        if self.params.body is not UNSET:
            _vet_body(self.params.body, f"{field}.body")
        for index, code in enumerate(self.params.success):
            _vet_success(code, f"{field}.success[{index}]")

    def prepare(self, delivery: Delivery, means: Means) -> Act:
        body, content_type = content(self.params.body)
        own = (endpoint.AGENT, *content_type, ("webhook-id", delivery.occurrence_id), *endpoint.identity(delivery))
        request = Request(
            method=self.params.method,
            url=self.params.url,
            headers=endpoint.merge(own, hidden.reveal(self.params.headers, delivery.header_secrets)),
            body=body,
            timeout=delivery.timeout.total_seconds(),
            wanted=delivery.wanted,
            redirects=self.params.follow_redirects,
            credentials=hidden.names(self.params.headers),
        )
        grant = self.params.auth.grant(delivery.header_secrets) if self.params.auth else None
        return endpoint.Letter("apicall", means, delivery, self.params.url, lambda _now: request, self.takes, grant)

    def takes(self, status: int) -> bool:
        return any(code in (status, f"{status // 100}xx") for code in self.params.success)


def content(body: msgspec.Raw | UnsetType) -> tuple[bytes, headers.Headers]:
    """The bytes to send, and their type if it goes without saying."""
    text = b"" if body is UNSET else bytes(body).strip()
    if text in (b"", b"null"):
        return b"", ()
    if text.startswith(b'"'):
        return msgspec.json.decode(text, type=str).encode(), ()
    return text, (("content-type", "application/json"),)


def _vet_body(body: msgspec.Raw, field: str) -> None:
    if len(bytes(body)) > LONGEST_BODY:
        raise Invalid(f"body is longer than {LONGEST_BODY} bytes", field=field)
    if NUL.search(bytes(body)):
        raise Invalid("body must not contain NUL (\\u0000), which cannot be stored", field=field)
    try:
        msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeError) as error:
        raise Invalid("body is not valid JSON", field=field) from error


def _vet_success(code: int | str, field: str) -> None:
    if not (200 <= code <= 599 if isinstance(code, int) else CLASS.fullmatch(code)):
        raise Invalid(f'success lists status codes such as 204 or "2xx", not {code!r}', field=field)
