from __future__ import annotations

from typing import Annotated

import msgspec
import pytest
from litestar.exceptions import HTTPException, MethodNotAllowedException, NotFoundException
from litestar.testing import RequestFactory
from msgspec import Meta, Struct
from structlog.testing import capture_logs

from qhronos import errors
from qhronos.api.problems import STATUS, Problem, UnsupportedMedia, from_validation, respond

REQUEST_ID = "req-1"


def told(error: Exception):
    request = RequestFactory().get("/events/x")
    request.scope["request_id"] = REQUEST_ID
    return respond(request, error)


def refusals() -> list[type[errors.Refusal]]:
    return errors.Refusal.__subclasses__()


def an(error: type[errors.Refusal], text: str = "no") -> errors.Refusal:
    return error(text, retry_after=7) if error is errors.Throttled else error(text)


def test_every_refusal_has_a_status():
    assert set(refusals()) | {errors.Unavailable} == set(STATUS)


@pytest.mark.parametrize("kind", refusals())
def test_a_refusal_is_told_as_a_problem(kind):
    response = told(an(kind, "not like this"))

    assert STATUS[kind] == response.status_code
    assert "application/problem+json" == response.media_type
    assert "not like this" == response.content.detail == response.content.error
    assert STATUS[kind] == response.content.status
    assert response.content.type.startswith("urn:qhronos:")


def test_a_problem_names_field_place_and_request():
    response = told(errors.Invalid("action.params.url: is required", field="action.params.url"))

    expected = Problem(
        type="urn:qhronos:invalid",
        title="Invalid",
        status=422,
        detail="action.params.url: is required",
        error="action.params.url: is required",
        instance="/events/x",
        request_id=REQUEST_ID,
        field="action.params.url",
        errors=response.content.errors,
    )
    assert expected == response.content
    assert [("action.params.url", "action.params.url: is required")] == [
        (error.field, error.message) for error in response.content.errors
    ]


@pytest.mark.parametrize(
    ("error", "headers"),
    [
        (errors.Unauthenticated("invalid token"), {"WWW-Authenticate": "Bearer"}),
        (errors.Throttled("Rate limit exceeded", retry_after=3), {"Retry-After": "3"}),
        (errors.Throttled("Rate limit exceeded", retry_after=0), {"Retry-After": "1"}),
        (errors.Unavailable("postgres", "gone"), {"Retry-After": "1"}),
        (MethodNotAllowedException(headers={"allow": "GET"}), {"Allow": "GET, HEAD"}),
        (errors.Invalid("no"), {}),
    ],
)
def test_headers_that_belong_to_a_status(error, headers):
    assert headers == told(error).headers


@pytest.mark.parametrize(
    ("error", "status", "kind"),
    [
        (NotFoundException(), 404, "urn:qhronos:not-found"),
        (MethodNotAllowedException(), 405, "urn:qhronos:method-not-allowed"),
        (UnsupportedMedia(detail="send JSON"), 415, "urn:qhronos:unsupported-media-type"),
        (HTTPException(status_code=413), 413, "urn:qhronos:too-large"),
        (HTTPException("bad host", status_code=400), 400, "urn:qhronos:malformed"),
    ],
)
def test_what_the_framework_refuses_is_told_the_same_way(error, status, kind):
    response = told(error)

    assert (status, kind) == (response.status_code, response.content.type)


@pytest.mark.parametrize(
    "bug", [RuntimeError("password=hunter2"), errors.ConfigError("hunter2"), HTTPException("hunter2", status_code=500)]
)
def test_a_bug_is_logged_once_and_its_cause_is_not_told(bug):
    with capture_logs() as logs:
        response = told(bug)

    assert 500 == response.status_code
    assert "see the server log" == response.content.error
    assert b"hunter2" not in msgspec.json.encode(response.content)
    assert [("request.broke", bug)] == [(line["event"], line["exc_info"]) for line in logs]


def test_an_outage_names_the_store_and_not_its_address():
    with capture_logs() as logs:
        response = told(errors.Unavailable("postgres", "connection to 10.1.2.3 refused"))

    assert "postgres is unavailable; try again" == response.content.detail
    assert ["request.stalled"] == [line["event"] for line in logs]


class Params(Struct, forbid_unknown_fields=True):
    url: Annotated[str, Meta(min_length=3)]


class Body(Struct, forbid_unknown_fields=True):
    params: Params
    tags: list[str] = []


@pytest.mark.parametrize(
    ("body", "field", "message"),
    [
        (b'{"params": {"url": 7}}', "params.url", "params.url: expected str, got int"),
        (b'{"params": {}}', "params.url", "params.url: is required"),
        (b'{"params": {"url": "http", "method": 1}}', "params.method", "params.method: unknown field"),
        (b'{"params": {"url": "http"}, "tags": ["a", 7]}', "tags[1]", "tags[1]: expected str, got int"),
        (b'{"colour": 1}', "colour", "colour: unknown field"),
        (b"[]", None, "expected object, got array"),
        (b'{"params": {"url": "x"}}', "params.url", "params.url: expected str of length >= 3"),
    ],
)
def test_what_msgspec_refuses_is_told_with_the_path_of_the_field(body, field, message):
    with pytest.raises(msgspec.ValidationError) as refusal:
        msgspec.json.decode(body, type=Body)

    invalid = from_validation(refusal.value)

    assert (field, message) == (invalid.field, str(invalid))


def test_a_path_can_be_put_before():
    refusal = msgspec.ValidationError("Expected `int`, got `str` - at `$.retry.max_attempts`")

    assert "events[3].retry.max_attempts" == from_validation(refusal, prefix="events[3]").field
