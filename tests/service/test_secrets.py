"""Secrets of events from the client to the wire and back: written once, sealed, and never seen again."""

from __future__ import annotations

import hashlib
import hmac
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from uuid import UUID

import msgspec
import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from qhronos import actions, wiring
from qhronos.clock import SystemClock
from qhronos.config import Archival, AtRest, Database, Redis, Retention
from qhronos.core.vault import Vault
from qhronos.errors import ConfigError
from qhronos.http import Client, Egress
from qhronos.janitor import Janitor
from tests.service.api import CONFIG, open_api, open_deps
from tests.service.engine import DEFAULTS, VAULT
from tests.service.events import HOOK, create, dispatch, event_of, execute, occurrences_of, query, secrets_of

OLD = "whsec_b2xkLW9sZC1vbGQtb2xkLW9sZC1vbGQtb2xkLW9sZCE="
NEW = "whsec_bmV3LW5ldy1uZXctbmV3LW5ldy1uZXctbmV3LW5ldyE="
TOKEN = "Bearer t0ken-that-nobody-may-see"
DAY = timedelta(days=1)
OTHER_VAULT = Vault([b"x" * 32])


def calling(url="https://example.com/hook", **headers):
    return {"type": "apicall", "params": {"method": "POST", "url": url, "headers": headers}}


def secret(value):
    return {"secret": value}


@asynccontextmanager
async def opened(database, redis_url, redis_prefix, clock, *keys):
    """The API with other keys."""
    config = msgspec.structs.replace(CONFIG, secrets=AtRest(keys=keys))
    async with open_deps(database, redis_url, redis_prefix, clock, config) as deps, open_api(deps) as api:
        yield api


async def later(api, **said):
    """An event that fires when it is told to."""
    return await create(api, start_time="2027-01-01T00:00:00Z", **said)


async def signed_with(api, clock, event) -> tuple[str, ...]:
    await api.post(f"/events/{event['id']}/run")
    [delivery] = await dispatch(api, clock)
    return delivery.secrets


def janitor(api, clock, vault=VAULT):
    return Janitor(api.deps.changes.stores._replace(vault=vault), clock, Retention(), Archival())


class TestSigningSecrets:
    async def test_nothing_of_it_is_in_the_tables(self, api):
        await later(api, hmac_secret=OLD)

        assert [(None, True)] == await query(api, "SELECT hmac_secret, hmac_sealed IS NOT NULL FROM events")
        assert not [row for row in await query(api, "SELECT events::text FROM events") if OLD[6:] in row[0]]

    async def test_the_old_one_signs_as_well_for_a_day(self, api, clock):
        event = await later(api, hmac_secret=OLD)
        edited = await api.patch(f"/events/{event['id']}", {"hmac_secret": NEW})

        assert "2026-03-02T12:00:00Z" == edited.json()["hmac_overlap_until"]
        assert (NEW, OLD) == await signed_with(api, clock, event)
        clock.advance(DAY.total_seconds())
        assert (NEW,) == await signed_with(api, clock, event)
        assert (await event_of(api, event))["hmac_overlap_until"] is None

    async def test_the_overlap_is_as_long_as_is_said(self, api, clock):
        event = await later(api, hmac_secret=OLD)
        for overlap, until in ((3600, "2026-03-01T13:00:00Z"), (0, None)):
            edited = await api.patch(
                f"/events/{event['id']}", {"hmac_secret": f"{overlap}", "hmac_secret_overlap": overlap}
            )

            assert until == edited.json()["hmac_overlap_until"]
        assert ("0", None, {}) == await secrets_of(api, event["id"])
        assert ("0",) == await signed_with(api, clock, event)

    async def test_an_overlap_can_be_ended_or_made_longer_later(self, api, clock):
        event = await later(api, hmac_secret=OLD)
        path = f"/events/{event['id']}"
        assert (await api.patch(path, {"hmac_secret_overlap": 60})).json()["hmac_overlap_until"] is None
        await api.patch(path, {"hmac_secret": NEW})
        longer = await api.patch(path, {"hmac_secret_overlap": 7 * 86_400})

        assert "2026-03-08T12:00:00Z" == longer.json()["hmac_overlap_until"]
        assert (NEW, OLD, {}) == await secrets_of(api, event["id"])
        ended = await api.patch(path, {"hmac_secret_overlap": 0})
        assert ended.json()["hmac_overlap_until"] is None
        assert (NEW, None, {}) == await secrets_of(api, event["id"])

    async def test_the_same_secret_again_is_no_change(self, api, clock):
        event = await create(api, hmac_secret=OLD, key="k")
        await api.patch(f"/events/{event['id']}", {"hmac_secret": NEW})
        clock.advance(3600)
        await api.post("/events", {"name": "tea", "webhook": HOOK, "key": "k", "hmac_secret": NEW})

        assert (NEW, OLD, {}) == await secrets_of(api, event["id"])
        assert "2026-03-02T12:00:00Z" == (await event_of(api, event))["hmac_overlap_until"]

    async def test_the_default_secret_goes_on_signing_when_an_event_gets_its_own_and_the_reverse(self, api, clock):
        event = await later(api)
        await api.patch(f"/events/{event['id']}", {"hmac_secret": NEW})
        assert (NEW, "default-secret") == await signed_with(api, clock, event)

        await api.patch(f"/events/{event['id']}", {"hmac_secret": None})
        assert ("default-secret", NEW) == await signed_with(api, clock, event)

    @pytest.mark.parametrize("overlap", [-1, 604_801, "1h"])
    async def test_an_overlap_that_cannot_be_is_refused(self, api, overlap):
        answer = await api.post("/events", {"name": "a", "webhook": HOOK, "hmac_secret_overlap": overlap})

        assert (422, "hmac_secret_overlap") == (answer.status_code, answer.json()["field"])

    async def test_a_deleted_event_has_no_secrets(self, api):
        event = await later(api, hmac_secret=OLD, action=calling(Authorization=secret(TOKEN)))
        await api.patch(f"/events/{event['id']}", {"hmac_secret": NEW})
        await api.delete(f"/events/{event['id']}")

        assert (None, None, {}) == await secrets_of(api, event["id"])

    async def test_a_split_takes_them_along_sealed_for_the_new_event(self, api, clock):
        event = await create(api, hmac_secret=OLD, schedule="FREQ=DAILY", action=calling(Authorization=secret(TOKEN)))
        await api.patch(f"/events/{event['id']}", {"hmac_secret": NEW})
        at = clock.now() + 2 * DAY
        new = (await api.post(f"/events/{event['id']}/split", {"scheduled_at": at})).json()

        assert (NEW, OLD, {"authorization": TOKEN}) == await secrets_of(api, new["id"])
        assert (NEW, OLD, {"authorization": TOKEN}) == await secrets_of(api, event["id"])


class TestHeaders:
    async def test_its_value_is_sent_and_never_shown(self, api, clock):
        event = await later(api, action=calling(Authorization=secret(TOKEN), Accept="text/plain"))

        shown = {"Authorization": {"secret": True}, "Accept": "text/plain"}
        assert shown == event["action"]["params"]["headers"]
        for path in (f"/events/{event['id']}", "/events", "/events/export", "/audit"):
            assert TOKEN not in (await api.get(path)).text
        assert (None, None, {"authorization": TOKEN}) == await secrets_of(api, event["id"])
        await api.post(f"/events/{event['id']}/run")
        [delivery] = await dispatch(api, clock)
        assert {"authorization": TOKEN} == delivery.header_secrets

    async def test_what_is_sent_back_as_it_was_shown_stays(self, api):
        event = await create(api, action=calling(Authorization=secret(TOKEN), Cookie=secret("c00kie")))
        action = calling("https://example.com/other", authorization=secret(True), Cookie=secret("an0ther"))
        edited = await api.patch(f"/events/{event['id']}", {"action": action})

        assert 200 == edited.status_code, edited.text
        assert (None, None, {"authorization": TOKEN, "cookie": "an0ther"}) == await secrets_of(api, event["id"])

    async def test_an_action_without_it_drops_it(self, api):
        event = await create(api, action=calling(Authorization=secret(TOKEN)))
        await api.patch(f"/events/{event['id']}", {"name": "other"})
        assert (None, None, {"authorization": TOKEN}) == await secrets_of(api, event["id"])

        await api.patch(f"/events/{event['id']}", {"webhook": HOOK})
        assert (None, None, {}) == await secrets_of(api, event["id"])

    @pytest.mark.parametrize(
        "url", ["http://example.com/hook", "https://example.com:8443/hook", "https://elsewhere.example/hook"]
    )
    async def test_a_value_does_not_go_to_another_address(self, api, url):
        """Whoever may edit an event could read it there."""
        event = await create(api, action=calling(Authorization=secret(TOKEN)))
        edited = await api.patch(f"/events/{event['id']}", {"action": calling(url, Authorization=secret(True))})

        assert (422, "action.params.headers.Authorization") == (edited.status_code, edited.json()["field"])
        assert "give it anew" in edited.json()["detail"]
        assert (None, None, {"authorization": TOKEN}) == await secrets_of(api, event["id"])

    async def test_what_was_never_given_cannot_stay(self, api):
        new = await api.post("/events", {"name": "a", "action": calling(Authorization=secret(True))})
        event = await create(api, action=calling(Accept="text/plain"))
        action = calling(Authorization=secret(True))
        edited = await api.patch(f"/events/{event['id']}", {"action": action})

        for answer in (new, edited):
            assert (422, "action.params.headers.Authorization") == (answer.status_code, answer.json()["field"])
        assert [(1,)] == await query(api, "SELECT count(*) FROM events")

    @pytest.mark.parametrize("header", [{"secret": False}, {"secret": ""}, {"secret": 1}, {"secret": "a\nb"}, {}])
    async def test_a_secret_that_is_none_is_refused(self, api, header):
        answer = await api.post("/events", {"name": "a", "action": calling(Authorization=header)})

        assert 422 == answer.status_code
        assert answer.json()["field"].startswith("action.params.headers")

    async def test_what_an_export_shows_can_be_imported_where_it_is_known(self, api):
        event = await create(api, key="k", action=calling(Authorization=secret(TOKEN)))
        text = (await api.get("/events/export")).text
        again = await api.post("/events/import", {"format": "json", "text": text})

        assert (1, 0) == (again.json()["edited"], again.json()["failed"]), again.text
        assert (None, None, {"authorization": TOKEN}) == await secrets_of(api, event["id"])


class TestCallbacks:
    """What tells of an end is an action like any other."""

    async def test_each_has_headers_of_its_own(self, api, clock):
        event = await later(
            api,
            action=calling(Authorization=secret(TOKEN)),
            on_success=calling(Authorization=secret("t0ken-of-a-success")),
            on_failure=calling(Accept="text/plain"),
        )

        assert {"Authorization": {"secret": True}} == event["on_success"]["params"]["headers"]
        told = {"authorization": TOKEN, "on_success": {"authorization": "t0ken-of-a-success"}}
        assert (None, None, told) == await secrets_of(api, event["id"])
        await api.post(f"/events/{event['id']}/run")
        [first] = await dispatch(api, clock)
        [second] = await dispatch(api, clock)
        assert {"authorization": TOKEN} == first.header_secrets
        assert {"authorization": "t0ken-of-a-success"} == second.header_secrets

    async def test_an_edit_of_one_keeps_the_others(self, api):
        event = await later(
            api, action=calling(Authorization=secret(TOKEN)), on_success=calling(Cookie=secret("c00kie"))
        )
        path = f"/events/{event['id']}"
        await api.patch(path, {"action": calling("https://elsewhere.example/", Authorization=secret("n3w"))})
        assert (None, None, {"authorization": "n3w", "on_success": {"cookie": "c00kie"}}) == await secrets_of(
            api, event["id"]
        )
        kept = await api.patch(path, {"on_success": calling("https://elsewhere.example/", Cookie=secret(True))})
        assert (422, "on_success.params.headers.Cookie") == (kept.status_code, kept.json()["field"])
        await api.patch(path, {"on_success": None})
        assert (None, None, {"authorization": "n3w"}) == await secrets_of(api, event["id"])

    async def test_a_value_of_one_does_not_become_that_of_another(self, api):
        event = await later(api, action=calling(Authorization=secret(TOKEN)))
        given = {"on_failure": calling(Authorization=secret(True))}
        answer = await api.patch(f"/events/{event['id']}", given)

        assert (422, "on_failure.params.headers.Authorization") == (answer.status_code, answer.json()["field"])


class TestKeys:
    async def test_without_a_key_a_secret_is_refused_with_the_remedy(self, database, redis_url, redis_prefix, clock):
        async with opened(database, redis_url, redis_prefix, clock) as api:
            signing = await api.post("/events", {"name": "a", "webhook": HOOK, "hmac_secret": OLD})
            header = await api.post("/events", {"name": "a", "action": calling(Authorization=secret(TOKEN))})
            await create(api)

        assert [(422, "hmac_secret"), (422, "action.params.headers")] == [
            (answer.status_code, answer.json()["field"]) for answer in (signing, header)
        ]
        assert "the operator sets secrets.keys (make one: openssl rand -base64 32)" in signing.json()["detail"]

    async def test_an_event_that_cannot_be_opened_fails_with_its_name(self, api, clock):
        """It is tried again: the key may come back."""
        event = await later(api, hmac_secret=OLD)
        await api.post(f"/events/{event['id']}/run")
        lost = DEFAULTS._replace(vault=OTHER_VAULT)
        assert [] == await dispatch(api, clock, lost)

        [occurrence] = [row for row in await occurrences_of(api, event) if row["origin"] == "manual"]
        [attempt] = (await api.get(f"/occurrences/{occurrence['id']}/attempts")).json()["data"]
        assert ("scheduled", "failed") == (occurrence["status"], attempt["outcome"])
        assert f"the secrets of event {event['id']} cannot be opened: it was sealed with key" in attempt["reason"]
        assert attempt["reason"].endswith("which is not among secrets.keys")

    async def test_what_cannot_be_opened_can_be_given_anew(self, api, database, redis_url, redis_prefix, clock):
        event = await later(api, hmac_secret=OLD, action=calling(Authorization=secret(TOKEN)))
        path, key = f"/events/{event['id']}", "eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHg="
        async with opened(database, redis_url, redis_prefix, clock, key) as other:
            kept = await other.patch(path, {"action": calling(Authorization=secret(True))})
            assert (409, "action.params.headers.Authorization") == (kept.status_code, kept.json()["field"])
            assert event["id"] in kept.json()["detail"]
            given = {"action": calling(Authorization=secret("n3w-token")), "hmac_secret": NEW, "hmac_secret_overlap": 0}
            assert 200 == (await other.patch(path, given)).status_code

            assert (NEW, None, {"authorization": "n3w-token"}) == await secrets_of(other, event["id"])

    async def test_a_split_of_what_cannot_be_opened_is_refused(self, api, database, redis_url, redis_prefix, clock):
        event = await create(api, hmac_secret=OLD, schedule="FREQ=DAILY")
        key = "eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHg="
        async with opened(database, redis_url, redis_prefix, clock, key) as other:
            answer = await other.post(f"/events/{event['id']}/split", {"scheduled_at": clock.now() + 2 * DAY})

        assert 409 == answer.status_code
        assert event["id"] in answer.json()["detail"]

    @pytest.mark.parametrize("role", ["api", "dispatcher", "janitor"])
    async def test_a_role_does_not_start_without_a_key_where_there_are_secrets(
        self, api, database, redis_url, redis_prefix, role
    ):
        stores = {"database": Database(url=database), "redis": Redis(url=redis_url, prefix=redis_prefix)}
        keyless = msgspec.structs.replace(CONFIG, secrets=AtRest(), **stores)

        async def start(config, role):
            async with AsyncExitStack() as stack:
                await wiring._open_stores(config, [role], stack, SystemClock())

        await later(api)
        await start(keyless, role)
        await later(api, hmac_secret=OLD)
        with pytest.raises(ConfigError, match=r"events have secrets, and secrets.keys is not set; set it to the keys"):
            await start(keyless, role)
        await start(keyless, "expander")
        await start(msgspec.structs.replace(CONFIG, **stores), role)


class TestUpkeep:
    async def test_what_is_plain_signs_until_it_is_sealed_and_is_then_emptied(self, api, clock):
        event = await later(api)
        await execute(api, "UPDATE events SET hmac_secret = %s", OLD)
        assert (await event_of(api, event))["has_hmac_secret"]
        assert (OLD,) == await signed_with(api, clock, event)

        await janitor(api, clock).tick()

        assert (OLD, None, {}) == await secrets_of(api, event["id"])
        assert [(None,)] == await query(api, "SELECT hmac_secret FROM events")
        assert (OLD,) == await signed_with(api, clock, event)

    async def test_what_is_plain_is_sealed_when_it_is_replaced(self, api, clock):
        event = await later(api)
        await execute(api, "UPDATE events SET hmac_secret = %s", OLD)
        await api.patch(f"/events/{event['id']}", {"hmac_secret": NEW})

        assert (NEW, OLD, {}) == await secrets_of(api, event["id"])

    async def test_everything_gets_the_newest_key(self, api, clock):
        event = await later(api, hmac_secret=OLD, action=calling(Authorization=secret(TOKEN)))
        await api.patch(f"/events/{event['id']}", {"hmac_secret": NEW})
        both = Vault([b"x" * 32, b"k" * 32])

        await janitor(api, clock, both).tick()

        [columns] = await query(api, "SELECT hmac_sealed, hmac_previous, headers_sealed FROM events")
        assert [False] * 3 == [OTHER_VAULT.is_stale(column) for column in columns]
        lost = DEFAULTS._replace(vault=OTHER_VAULT)
        await api.post(f"/events/{event['id']}/run")
        [delivery] = await dispatch(api, clock, lost)
        assert ((NEW, OLD), {"authorization": TOKEN}) == (delivery.secrets, delivery.header_secrets)

    async def test_what_cannot_be_opened_does_not_stop_the_others(self, api, clock):
        lost = await later(api, hmac_secret=OLD)
        await execute(api, "UPDATE events SET hmac_sealed = set_byte(hmac_sealed, 3, 0)")
        event = await later(api, hmac_secret=OLD)
        both = Vault([b"x" * 32, b"k" * 32])

        await janitor(api, clock, both).tick()

        sealed = dict(await query(api, "SELECT id, hmac_sealed FROM events"))
        assert (True, False) == (
            OTHER_VAULT.is_stale(sealed[UUID(lost["id"])]),
            OTHER_VAULT.is_stale(sealed[UUID(event["id"])]),
        )

    async def test_what_no_longer_signs_is_forgotten(self, api, clock):
        event = await later(api, hmac_secret=OLD)
        await api.patch(f"/events/{event['id']}", {"hmac_secret": NEW})
        clock.advance(DAY.total_seconds())

        await janitor(api, clock).tick()

        assert (NEW, None, {}) == await secrets_of(api, event["id"])


async def test_both_secrets_verify_on_the_wire_while_one_is_changed(api, receiver, clock):
    """As a receiver with the library of Standard Webhooks sees it; it reads the clock itself."""
    event = await later(api, hmac_secret=OLD)
    await api.patch(f"/events/{event['id']}", {"hmac_secret": NEW})
    await api.post(f"/events/{event['id']}/run")
    [delivery] = await dispatch(api, clock)
    action = msgspec.Raw(msgspec.json.encode({"type": "webhook", "params": {"url": receiver.url}}))
    client = Client(Egress(["127.0.0.0/8"]), SystemClock())
    await actions.Performer(client).prepare(action, delivery).perform(SystemClock().now())
    await client.close()

    [request] = receiver.requests
    headers = dict(request.headers)
    for one in (OLD, NEW):
        Webhook(one).verify(request.body, headers)
    with pytest.raises(WebhookVerificationError):
        Webhook("whsec_" + "A" * 32).verify(request.body, headers)
    assert hmac.new(NEW.encode(), request.body, hashlib.sha256).hexdigest() == headers["x-qhronos-signature"]
