"""OAuth 2.0 client credentials (RFC 6749, section 4.4): what an action says of them, and what they are asked for with."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from typing import Annotated, Literal
from urllib.parse import quote_plus, urlencode

from msgspec import Meta, Struct

from qhronos.actions.hidden import CLIENT_SECRET, SHOWN, Given, Hidden
from qhronos.errors import Invalid
from qhronos.http import Egress, Request
from qhronos.http.guard import vet_url

LONGEST_SECRET = 4096
SECONDS = 10.0  # that a token endpoint may take; who waits for it gives up when the time of the delivery is over
VISIBLE = re.compile(r"[\x20-\x7e]+")
SCOPE = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+(?: [\x21\x23-\x5b\x5d-\x7e]+)*")
FORM = ("content-type", "application/x-www-form-urlencoded")

Text = Annotated[str, Meta(min_length=1, max_length=1024)]


class Grant(Struct, frozen=True):
    """All that a token is asked for with. Who says the same gets the same token, and nobody else: the secret is part of it."""

    token_url: str
    client_id: str
    client_secret: str
    scope: str | None
    audience: str | None
    style: str

    def __repr__(self) -> str:
        return f"Grant({self.client_id})"

    def request(self) -> Request:
        asked = {"grant_type": "client_credentials", "scope": self.scope, "audience": self.audience}
        login: tuple[tuple[str, str], ...] = ()
        if self.style == "basic":
            # Each is encoded as in a form first, so that a colon in an id is none: RFC 6749, section 2.3.1.
            pair = f"{quote_plus(self.client_id)}:{quote_plus(self.client_secret)}"
            login = (("authorization", "Basic " + base64.b64encode(pair.encode()).decode()),)
        else:
            asked |= {"client_id": self.client_id, "client_secret": self.client_secret}
        body = urlencode({name: value for name, value in asked.items() if value is not None})
        return Request(method="POST", url=self.token_url, headers=(FORM, *login), body=body.encode(), timeout=SECONDS)


class OAuth2(Struct, frozen=True, kw_only=True, tag_field="type", tag="oauth2", forbid_unknown_fields=True, omit_defaults=True):  # fmt: skip
    token_url: str
    client_id: Text
    client_secret: str | Hidden  # kept apart and never shown, however it is written
    scope: Text | None = None
    audience: Text | None = None
    style: Literal["basic", "post"] = "basic"  # where id and secret go: in a header, or in the form

    def vet(self, egress: Egress, field: str) -> None:
        """Refuse what cannot work, by its path under `field`. Raises Invalid."""
        vet_url(self.token_url, egress, f"{field}.token_url")
        _visible(self.client_id, f"{field}.client_id")
        _vet_secret(self.client_secret, f"{field}.client_secret")
        if self.scope is not None and not SCOPE.fullmatch(self.scope):
            raise Invalid("scope is names with one space between them", field=f"{field}.scope")
        if self.audience is not None:
            _visible(self.audience, f"{field}.audience")

    def conceal(self) -> tuple[OAuth2, str | None]:
        """As everybody may see it, and its secret; None for one that is to stay."""
        given = self.client_secret.secret if isinstance(self.client_secret, Hidden) else self.client_secret
        shown = OAuth2(
            token_url=self.token_url,
            client_id=self.client_id,
            client_secret=SHOWN,
            scope=self.scope,
            audience=self.audience,
            style=self.style,
        )
        return shown, given if isinstance(given, str) else None

    def grant(self, values: Mapping[str, str]) -> Grant:
        """Raises Invalid if the secret is missing."""
        secret = values.get(CLIENT_SECRET)
        if secret is None:
            raise Invalid("the client secret is missing; edit the event and give it", field="auth.client_secret")
        return Grant(self.token_url, self.client_id, secret, self.scope, self.audience, self.style)


def check(auth: OAuth2 | None, headers: Given, egress: Egress, field: str) -> None:
    """Refuse what cannot work beside the headers, by its path under `field`. Raises Invalid."""
    if auth is None:
        return
    auth.vet(egress, f"{field}.auth")
    for name in headers:
        if name.lower() == "authorization":
            message = f"header `{name}` is written by `auth`; give one of them"
            raise Invalid(message, field=f"{field}.headers.{name}")


def _vet_secret(given: str | Hidden, field: str) -> None:
    secret = given.secret if isinstance(given, Hidden) else given
    if not secret:
        raise Invalid('the client secret is its value, or {"secret": true} to keep it', field=field)
    if isinstance(secret, str) and len(secret) > LONGEST_SECRET:
        raise Invalid(f"the client secret is longer than {LONGEST_SECRET} characters", field=field)
    if isinstance(secret, str):
        _visible(secret, field)


def _visible(text: str, field: str) -> None:
    if not VISIBLE.fullmatch(text):
        raise Invalid(f"{field.rpartition('.')[2]} is printable ASCII", field=field)
