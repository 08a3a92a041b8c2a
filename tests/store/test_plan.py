import uuid
from datetime import UTC, datetime, timedelta

import pytest
from redis.asyncio import ConnectionPool, Redis

from qhronos.core.occurrence import Identity
from qhronos.errors import Unavailable
from qhronos.plan import TRANSIT, Plan
from qhronos.redis_link import connect

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)


def identities(count, due_at=NOW):
    return [Identity(uuid.uuid4(), due_at + i * SECOND) for i in range(count)]


def entries(found):
    return [(identity, identity.due_at) for identity in found]


@pytest.fixture
async def plan(redis_url, redis_prefix):
    plan = Plan(connect(redis_url), redis_prefix, shards=4)
    await plan.mark_whole(range(4), "epoch")
    yield plan
    await plan.redis.aclose()


async def test_what_is_due_is_popped_once_and_the_rest_says_when(plan):
    made = identities(10)
    await plan.add(entries(made))

    first = await plan.pop(NOW + 4 * SECOND, NOW, 1000)
    second = await plan.pop(NOW + 4 * SECOND, NOW, 1000)

    assert set(made[:5]) == set(first.identities)
    assert [] == second.identities
    assert NOW + 5 * SECOND == first.next_at == second.next_at


async def test_what_was_popped_and_never_claimed_is_due_again(plan):
    made = identities(3, NOW - 10 * SECOND)
    await plan.add(entries(made))
    await plan.pop(NOW, NOW, 1000)

    later = NOW + TRANSIT + SECOND
    again = await plan.pop(later, later, 1000)

    assert set(made) == set(again.identities)


async def test_what_arrived_in_postgres_does_not_come_back(plan):
    made = identities(3, NOW - 10 * SECOND)
    await plan.add(entries(made))
    await plan.arrived((await plan.pop(NOW, NOW, 1000)).identities)

    later = NOW + TRANSIT + SECOND
    again = await plan.pop(later, later, 1000)

    assert [] == again.identities


async def test_planning_moves_an_entry_and_planning_what_is_missing_does_not(plan):
    (one,) = identities(1)
    await plan.add([(one, NOW)])

    added = await plan.add_missing([(one, NOW + 60 * SECOND)])
    still = await plan.pop(NOW, NOW, 1000)
    await plan.add([(one, NOW + 60 * SECOND)])
    moved = await plan.pop(NOW, NOW, 1000)

    assert 0 == added
    assert [one] == still.identities
    assert [] == moved.identities


async def test_a_removed_entry_is_gone(plan):
    made = identities(2)
    await plan.add(entries(made))
    await plan.remove(made)

    assert [] == (await plan.pop(NOW + 60 * SECOND, NOW, 1000)).identities


async def test_a_lost_shard_says_so_and_gives_nothing(plan):
    await plan.add(entries(identities(10)))
    for shard in range(4):
        await plan.redis.delete(f"{plan.prefix}:{{{shard}}}:epoch")

    popped = await plan.pop(NOW + 60 * SECOND, NOW, 1000)

    assert [0, 1, 2, 3] == popped.lost == (await plan.lost()).shards
    assert [] == popped.identities


async def test_a_plan_from_an_earlier_life_of_redis_counts_as_lost(plan):
    lost = await plan.lost()
    await plan.mark_whole(lost.shards, lost.life)
    whole = await plan.lost()
    await plan.mark_whole([2], "the life of a server that was replaced by its replica")

    assert ([0, 1, 2, 3], []) == (lost.shards, whole.shards)
    assert [2] == (await plan.lost()).shards


@pytest.fixture
async def reticent(plan):
    """The same plan, in the hands of a user who may not ask for INFO."""
    user = f"{plan.prefix}-user"
    await plan.redis.acl_setuser(user, enabled=True, nopass=True, keys=["*"], categories=["+@all"], commands=["-info"])
    pool = plan.redis.connection_pool
    kwargs = {**pool.connection_kwargs, "username": user, "password": "any"}
    redis = Redis.from_pool(ConnectionPool(connection_class=pool.connection_class, **kwargs))
    yield Plan(redis, plan.prefix, shards=4)
    await redis.aclose()
    await plan.redis.acl_deluser(user)


async def test_a_redis_that_does_not_tell_its_life_is_believed(reticent):
    lost = await reticent.lost()
    await reticent.mark_whole(lost.shards, lost.life)

    assert ([0, 1, 2, 3], []) == (lost.shards, (await reticent.lost()).shards)


async def test_what_is_planned_for_later_than_it_should_is_planned_anew(plan):
    (one,) = identities(1)
    await plan.add([(one, NOW + 60 * SECOND)])

    added = await plan.add_missing([(one, NOW)])

    assert 0 == added
    assert [one] == (await plan.pop(NOW, NOW, 1000)).identities


async def test_a_redis_that_forgot_the_scripts_is_taught_again(plan):
    made = identities(1)
    await plan.add(entries(made))
    await plan.pop(NOW - SECOND, NOW, 1000)
    await plan.redis.script_flush()

    assert made == (await plan.pop(NOW, NOW, 1000)).identities


async def test_a_redis_that_is_away_is_unavailable(tmp_path):
    plan = Plan(connect(f"unix://{tmp_path}/nobody.sock"), "x", shards=1)

    with pytest.raises(Unavailable, match="redis"):
        await plan.pop(NOW, NOW, 10)
    await plan.redis.aclose()
