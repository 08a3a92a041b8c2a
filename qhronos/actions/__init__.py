"""What an event can do. To add a type of action: write its module, import it here, add it to `Action`."""

from __future__ import annotations

import re
from typing import Any, TypeAlias, get_args

import msgspec
from msgspec import Struct

from qhronos.actions import apicall, hidden, webhook, websocket
from qhronos.actions.base import Act, Done, Means, Performs
from qhronos.actions.tokens import Tokens
from qhronos.core.attempt import Delivery, Failed, Refused
from qhronos.errors import Invalid
from qhronos.http import Client, Egress, url
from qhronos.http.guard import vet_url
from qhronos.plan.breakers import Breakers

Action: TypeAlias = apicall.ApiCall | webhook.Webhook | websocket.Websocket

TYPES: dict[str, type[Action]] = {each.__struct_config__.tag: each for each in get_args(Action)}

PLACED = re.compile(r"(.*) - at `\$([^`]*)`", re.DOTALL)
REMEDIES = {
    ".params.envelope": "give event or callback",
    ".params.auth": "give an object with type, token_url, client_id and client_secret",
    ".params.auth.type": "give oauth2",
    ".params.auth.style": "give basic or post",
    ".params.auth.client_secret": 'give its value, or {"secret": true} to keep it',
    ".params.mode": "give latest, one_of or fan_out",
    ".params.fallback": "give an object with after, in seconds, and action",
    ".params.fallback.action.type": "give webhook or apicall",
}
FALLBACK = "params.fallback.action"  # where in an action another stands
NAMED = re.compile(r"Object (missing required|contains unknown) field `(.*)`", re.DOTALL)


class Envelope(Struct):
    """As much of an action as is the same for every type; anything else is read by its own Struct."""

    type: Any = None
    params: msgspec.Raw = msgspec.Raw(b"null")


class Typed(Struct):
    """What says its type. The decoder of one type alone takes it without."""

    type: str


class WithAuth(Struct):
    auth: Typed


class Authorised(Struct):
    params: WithAuth


class Inner(Struct):
    action: msgspec.Raw


class WithFallback(Struct):
    fallback: Inner | None = None


class Falling(Struct):
    """As much of an action as says what is done in its place."""

    params: WithFallback


encode = msgspec.json.Encoder().encode
_stored: msgspec.json.Decoder[Action] = msgspec.json.Decoder(Action)
_open = msgspec.json.Decoder(Envelope).decode
_authorised = msgspec.json.Decoder(Authorised).decode
_falling = msgspec.json.Decoder(Falling).decode
_read: dict[str, msgspec.json.Decoder[Action]] = {name: msgspec.json.Decoder(each) for name, each in TYPES.items()}


def parse(raw: object, egress: Egress, field: str = "action") -> Action:
    """Read and vet what a user gave, in JSON (bytes, Raw) or decoded. Raises Invalid with the path under `field`."""
    data = raw if isinstance(raw, bytes | msgspec.Raw) else msgspec.json.encode(raw)
    try:
        action = _stored.decode(data)
    except (msgspec.DecodeError, UnicodeError):
        action = _read_slowly(data, field)
    _check_type_of_auth(action, data, field)
    action.vet(egress, f"{field}.params")
    return action


def from_legacy(text: str, egress: Egress, field: str = "webhook") -> Action:
    """What the first Qhronos' `webhook` field means: a URL, or `q:` and the name of a websocket client."""
    if not text:
        raise Invalid("either action object or a non-empty webhook string is required", field=field)
    if text.startswith(websocket.LEGACY_PREFIX):
        client = websocket.Params(client_name=text.removeprefix(websocket.LEGACY_PREFIX))
        websocket.check_name(client.client_name, field)
        return websocket.Websocket(client)
    vet_url(text, egress, field)
    return webhook.Webhook(webhook.Params(url=text))


def decode(stored: bytes | msgspec.Raw) -> Action:
    """What `encode` wrote. Raises Invalid for a type that this process does not know."""
    try:
        return _stored.decode(stored)
    except msgspec.ValidationError as error:
        raise Invalid(f"cannot read the stored action: {error}", field="action") from error


def fallback_of(stored: msgspec.Raw) -> msgspec.Raw | None:
    """What is done in the place of an action that nobody took in time."""
    try:
        fallback = _falling(stored).params.fallback
    except msgspec.MsgspecError:
        return None
    return fallback.action if fallback else None


def conceal(action: Action, field: str) -> tuple[Action, dict[str, dict[str, str | None]]]:
    """The action as it is stored and shown; and by where an action stands, beginning with `field`, the values of its secrets
    by name, None for one that is to stay."""
    if isinstance(action, websocket.Websocket):
        return _conceal_inner(action, field)
    shown, values = hidden.conceal(action.params.headers)
    auth = action.params.auth
    if auth:
        auth, values[hidden.CLIENT_SECRET] = auth.conceal()
    if not values:
        return action, {field: {}}
    params: Any = msgspec.structs.replace(action.params, headers=shown, auth=auth)
    return msgspec.structs.replace(action, params=params), {field: values}


def _conceal_inner(action: websocket.Websocket, field: str) -> tuple[Action, dict[str, dict[str, str | None]]]:
    fallback = action.params.fallback
    if fallback is None:
        return action, {field: {}}
    shown, values = conceal(fallback.action, f"{field}.{FALLBACK}")
    fallback = msgspec.structs.replace(fallback, action=shown)
    params = msgspec.structs.replace(action.params, fallback=fallback)
    return msgspec.structs.replace(action, params=params), {field: {}} | values


def hidden_in(stored: bytes | msgspec.Raw) -> list[str]:
    """The names of its own secrets: headers, and the client secret. Raises Invalid."""
    params = decode(stored).params
    if isinstance(params, websocket.Params):
        return []
    return [*hidden.names(params.headers), *([hidden.CLIENT_SECRET] if params.auth else [])]


def reach_of(stored: bytes | msgspec.Raw, name: str) -> tuple[str, ...]:
    """The origins to which the secret of that name goes, or what is got for it. Raises Invalid."""
    params = decode(stored).params
    if isinstance(params, websocket.Params):
        return ()
    urls = [params.url] if name != hidden.CLIENT_SECRET or params.auth is None else [params.url, params.auth.token_url]
    return tuple(url.parse(each).origin for each in urls)


class Performer:
    """Acts on what is stored, over one client."""

    def __init__(self, http: Client, breakers: Breakers | None = None) -> None:
        self._means = Means(http, Tokens(http), breakers)
        self.capacity = http.capacity

    def prepare(self, stored: msgspec.Raw, delivery: Delivery) -> Act:
        """Never raises Invalid: what cannot be read or must not be done ends so when it is."""
        try:
            action = decode(stored)
        except Invalid as error:
            return Done("unknown", Failed(reason=str(error)))  # a newer version of us wrote it, and will do it
        performs: Performs = action
        try:
            return performs.prepare(delivery, self._means)
        except Invalid as error:
            return Done(str(action.__struct_config__.tag), Refused(reason=str(error)))


def _read_slowly(data: bytes | msgspec.Raw, field: str) -> Action:
    """What cannot be read at once, to say why. Raises Invalid."""
    name = _type_of(data, field)
    try:
        return _read[name].decode(data)
    except (msgspec.DecodeError, UnicodeError) as error:
        raise _refusal(str(error), name, field) from error


def _check_type_of_auth(action: Action, data: bytes | msgspec.Raw, field: str) -> None:
    """Raises Invalid."""
    if isinstance(action, websocket.Websocket):
        inner = fallback_of(msgspec.Raw(data))
        if action.params.fallback and inner:
            _check_type_of_auth(action.params.fallback.action, inner, f"{field}.{FALLBACK}")
        return
    if not action.params.auth:
        return
    try:
        _authorised(data)
    except msgspec.ValidationError as error:
        raise _refusal(str(error), "", field) from error


def _type_of(data: bytes | msgspec.Raw, field: str) -> str:
    try:
        envelope = _open(data)
    except (msgspec.DecodeError, UnicodeError) as error:
        raise Invalid("action must be a JSON object with `type` and `params`", field=field) from error
    name = envelope.type
    if not name:
        raise Invalid("action type is required when action object is provided", field=f"{field}.type")
    if not isinstance(name, str):
        raise Invalid("action type must be a string", field=f"{field}.type")
    if name not in TYPES:
        raise Invalid(f"unknown action type: {name[:64]}; there are {', '.join(sorted(TYPES))}", field=f"{field}.type")
    if bytes(envelope.params) == b"null":
        raise Invalid("action params are required when action object is provided", field=f"{field}.params")
    return name


def _refusal(complaint: str, name: str, field: str) -> Invalid:
    """The complaint of the decoder in our words, with the path of the field it is about."""
    placed = PLACED.fullmatch(complaint)
    text, place = placed.groups() if placed else (complaint, "")
    path = field + place.replace("[...]", "")
    named = NAMED.fullmatch(text)
    if named is None:
        remedy = REMEDIES.get(place) or REMEDIES.get(place.removeprefix(f".{FALLBACK}"))
        told = f"invalid params for {name} action: {text}"
        return Invalid(f"{told}; {remedy}" if remedy else told, field=path)
    what, missing = named[2], named[1] == "missing required"
    if not missing:
        return Invalid(f"unknown field `{what}` in {path}", field=f"{path}.{what}")
    whose = f"for {name} action params" if place == ".params" else f"in {path}"
    return Invalid(f"{'URL' if what == 'url' else what} is required {whose}", field=f"{path}.{what}")
