"""Reading actions: what users write, what is refused with which words, what is stored."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qhronos import actions
from qhronos.actions import apicall, endpoint, webhook
from qhronos.errors import Invalid
from qhronos.http import Egress

CLOSED = Egress()
URL = "https://example.com/hook"


def parsed(kind: str, **params: object) -> actions.Action:
    return actions.parse({"type": kind, "params": params}, CLOSED)


def test_a_webhook_needs_a_url_and_takes_headers():
    expected = webhook.Webhook(webhook.Params(url=URL, headers={"Authorization": "Bearer x"}))

    assert expected == parsed("webhook", url=URL, headers={"Authorization": "Bearer x"})


def test_an_apicall_takes_more():
    raw = b'{"type": "apicall", "params": {"method": "PUT", "url": "https://example.com/", "body": {"b":  1.0}, "success": [200, "3xx"]}}'
    params = actions.parse(raw, CLOSED).params

    assert ("PUT", (200, "3xx"), b'{"b":  1.0}') == (params.method, params.success, bytes(params.body))


def test_json_in_any_form_is_read_alike():
    text = b'{"type": "webhook", "params": {"url": "https://example.com/hook"}}'

    assert parsed("webhook", url=URL) == actions.parse(text, CLOSED) == actions.parse(msgspec.Raw(text), CLOSED)


@pytest.mark.parametrize(
    ("raw", "field", "message"),
    [
        (b"[]", "action", "action must be a JSON object with `type` and `params`"),
        (b'{"type": "webhook", "params":', "action", "action must be a JSON object with `type` and `params`"),
        (b"{}", "action.type", "action type is required when action object is provided"),
        (b'{"type": "", "params": {}}', "action.type", "action type is required when action object is provided"),
        (b'{"type": [1]}', "action.type", "action type must be a string"),
        (b'{"type": "email"}', "action.type", "unknown action type: email; there are apicall, webhook, websocket"),
        (b'{"type": "websocket", "params": {}}', "action.params.client_name", "client_name is required for websocket action params"),
        (b'{"type": "webhook"}', "action.params", "action params are required when action object is provided"),
        (b'{"type": "webhook", "params": null}', "action.params", "action params are required when action object is provided"),
        (b'{"type": "webhook", "params": 1}', "action.params", "invalid params for webhook action: Expected `object`, got `int`"),
        (b'{"type": "webhook", "params": {}}', "action.params.url", "URL is required for webhook action params"),
        (b'{"type": "webhook", "params": {"url": ""}}', "action.params.url", "URL is required for webhook action params"),
        (b'{"type": "webhook", "params": {"url": 1}}', "action.params.url", "invalid params for webhook action: Expected `str`, got `int`"),
        (b'{"type": "webhook", "params": {"url": "u", "x": 1}}', "action.params.x", "unknown field `x` in action.params"),
        (b'{"type": "webhook", "params": {"url": "u"}, "x": 1}', "action.x", "unknown field `x` in action"),
        (b'{"type": "webhook", "params": {"url": "u", "a` - at `$.b": 1}}', "action.params.a` - at `$.b", "unknown field `a` - at `$.b` in action.params"),
        (b'{"type": "webhook", "params": {"url": "ftp://a"}}', "action.params.url", "URL must start with http:// or https://"),
        (b'{"type": "apicall", "params": {"url": "u"}}', "action.params.method", "method is required for apicall action params"),
        (b'{"type": "apicall", "params": {"method": "GET", "url": ""}}', "action.params.url", "URL is required for apicall action params"),
        (b'{"type": "apicall", "params": {"method": "get", "url": "u"}}', "action.params.method", "invalid params for apicall action: Invalid enum value 'get'"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_refused_with_its_field(raw, field, message):
    with pytest.raises(Invalid) as refusal:
        actions.parse(raw, CLOSED)

    assert (message, field) == (str(refusal.value), refusal.value.field)


@pytest.mark.parametrize(
    ("kind", "params", "field"),
    [
        ("webhook", {"url": "http://127.0.0.1/"}, "url"),
        ("webhook", {"url": URL, "headers": {"Host": "x"}}, "headers.Host"),
        ("webhook", {"url": URL, "headers": {"webhook-id": "x"}}, "headers.webhook-id"),
        ("webhook", {"url": URL, "headers": {"x": "a\r\nb"}}, "headers.x"),
        ("apicall", {"method": "GET", "url": "http://[::1]/"}, "url"),
        ("apicall", {"method": "GET", "url": URL, "headers": {"x-qhronos-attempt": "1"}}, "headers.x-qhronos-attempt"),
        ("apicall", {"method": "POST", "url": URL, "body": "x" * 262_144}, "body"),
        ("apicall", {"method": "POST", "url": URL, "body": "a\0"}, "body"),
        ("apicall", {"method": "POST", "url": URL, "body": {"a": ["\\\0"]}}, "body"),
        ("apicall", {"method": "GET", "url": URL, "success": []}, "success"),
        ("apicall", {"method": "GET", "url": URL, "success": [199]}, "success[0]"),
        ("apicall", {"method": "GET", "url": URL, "success": [600]}, "success[0]"),
        ("apicall", {"method": "GET", "url": URL, "success": ["1xx"]}, "success[0]"),
        ("apicall", {"method": "GET", "url": URL, "success": ["200"]}, "success[0]"),
        ("apicall", {"method": "GET", "url": URL, "success": [True]}, "success[0]"),
        ("apicall", {"method": "GET", "url": URL, "success": [200] * 21}, "success"),
    ],
)
def test_params_that_cannot_work_are_refused_with_their_field(kind, params, field):
    with pytest.raises(Invalid) as refusal:
        parsed(kind, **params)

    assert f"action.params.{field}" == refusal.value.field


@pytest.mark.parametrize("body", [b'"\xff"', b'"\\ud800"', b'{"a": "\xc3"}'])
def test_a_body_that_is_no_text_is_refused(body):
    raw = b'{"type": "apicall", "params": {"method": "GET", "url": "https://a.com", "body": %b}}' % body
    with pytest.raises(Invalid):
        actions.parse(raw, CLOSED)


def test_an_escaped_backslash_before_u0000_is_no_nul():
    assert parsed("apicall", method="GET", url=URL, body="\\u0000").params.url == URL


def test_another_place_for_an_action_is_named_in_its_refusals():
    with pytest.raises(Invalid) as refusal:
        actions.parse({"type": "webhook", "params": {"url": "x"}}, CLOSED, "on_failure")

    assert refusal.value.field == "on_failure.params.url"


def test_the_webhook_field_of_the_first_qhronos_is_a_url():
    action = actions.from_legacy(URL, CLOSED)

    assert parsed("webhook", url=URL) == action
    assert action.legacy == URL


def test_an_apicall_cannot_be_said_in_the_webhook_field():
    assert parsed("apicall", method="GET", url=URL).legacy is None


def test_the_webhook_field_of_the_first_qhronos_may_name_a_client():
    action = actions.from_legacy("q:acme-corp", CLOSED)

    assert parsed("websocket", client_name="acme-corp") == action
    assert "q:acme-corp" == action.legacy


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "either action object or a non-empty webhook string is required"),
        ("q:", "client_name is required for websocket action params"),
        ("acme", "URL must start with http:// or https://"),
        ("http://10.0.0.1/", "URL cannot be reached: 10.0.0.1 is not a public address (a private network); an operator can open it in http.egress_allow"),
    ],
)  # fmt: skip
def test_a_webhook_field_that_is_no_url_is_refused(text, message):
    with pytest.raises(Invalid) as refusal:
        actions.from_legacy(text, CLOSED)

    assert (message, "webhook") == (str(refusal.value), refusal.value.field)


bodies = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text().filter(lambda text: "\0" not in text),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(alphabet="abc"), inner, max_size=3),
    max_leaves=8,
)


@given(body=bodies, success=st.lists(st.integers(200, 599) | st.sampled_from(["2xx", "5xx"]), min_size=1, max_size=5))
def test_what_is_stored_reads_back_the_same(body, success):
    for action in (
        parsed("webhook", url=URL, headers={"a": "b"}),
        parsed("apicall", method="PATCH", url=URL, body=body, success=success),
    ):
        assert action == actions.decode(actions.encode(action))


def test_what_another_version_stored_is_refused():
    with pytest.raises(Invalid, match="cannot read the stored action"):
        actions.decode(b'{"type": "telepathy", "params": {}}')


@pytest.mark.parametrize(
    ("body", "sent", "types"),
    [
        (b'"{\\"a\\": 1}\\n\\u00fc"', '{"a": 1}\nü'.encode(), ()),
        (b'""', b"", ()),
        (b'{"a":  1.0}', b'{"a":  1.0}', (("content-type", "application/json"),)),
        (b"[1]", b"[1]", (("content-type", "application/json"),)),
        (b"0", b"0", (("content-type", "application/json"),)),
        (b"null", b"", ()),
    ],
)
def test_a_string_is_sent_as_it_is_and_anything_else_as_json(body, sent, types):
    assert (sent, types) == apicall.content(msgspec.Raw(body))


def test_no_body_is_sent_where_none_is_given():
    assert apicall.content(msgspec.UNSET) == (b"", ())


def test_an_excerpt_is_text_of_at_most_4_kib_without_nul():
    assert endpoint.excerpt(b"", ()) == ""
    assert endpoint.excerpt(b"a\0b\xff", ()) == "ab\N{REPLACEMENT CHARACTER}"
    assert endpoint.excerpt("ü".encode() * 5000, ()) == "ü" * 2048
    assert endpoint.excerpt(b"x" + "ü".encode() * 5000, ()) == "x" + "ü" * 2047


@pytest.mark.parametrize(
    ("body", "secrets"),
    [
        (b"your key is hunter22", ("hunter22",)),
        (b"your key is hun\0ter22", ("hunter22",)),
        (b"MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", ("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",)),
        (b"x" * 4090 + b"hunter22", ("hunter22",)),
        (b"old: abc, new: abcdef", ("abc", "abcdef")),
        (b"say secret", ("secret",)),
        (b"a[secreta", ("a[",)),
    ],
)
def test_an_excerpt_never_shows_a_secret(body, secrets):
    text = endpoint.excerpt(body, secrets)

    assert not any(secret.removeprefix("whsec_") in text for secret in secrets)
    assert "def" not in text
    assert "hunter" not in text


@given(st.binary(max_size=9000), st.lists(st.text(min_size=1, max_size=4), max_size=2).map(tuple))
def test_no_body_makes_an_excerpt_that_cannot_be_stored(body, secrets):
    text = endpoint.excerpt(body, secrets)

    assert "\0" not in text
    assert len(text.encode()) <= 4096
    assert not any(secret.removeprefix("whsec_") in text for secret in secrets)
