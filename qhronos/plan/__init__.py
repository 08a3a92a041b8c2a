"""Redis: the plan. Which occurrences are to be acted on next, and nothing more; it may vanish at any moment.

Per shard, all under one hash tag so that a script touches one node of a cluster:

    <prefix>:{n}:due      sorted set    24-byte member of the occurrence, scored with fire_at in microseconds
    <prefix>:{n}:transit  sorted set    popped, not yet claimed in Postgres; scored with the instant it is due again
    <prefix>:{n}:epoch    string        the life of Redis in which the shard was whole; its absence says that it was lost

The shard of an occurrence is given by its event, so the plan needs no look-up table. The instants are those of Postgres'
clock, handed in by the caller: a Redis whose own clock is wrong changes nothing.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from importlib.resources import files
from typing import Any, NamedTuple, TypeVar
from uuid import UUID

from redis.asyncio import Redis
from redis.exceptions import NoScriptError, ResponseError

from qhronos.core.occurrence import Identity, from_member, instant, member, microseconds
from qhronos.errors import Unavailable
from qhronos.redis_link import translated

T = TypeVar("T")

TRANSIT = timedelta(seconds=5)
UNTOLD = "untold"  # the life of a Redis that may not be asked
LAST_BYTES = 0xFFFF_FFFF
BATCH = 2_000  # members a command; Lua's unpack and the latency of other callers set the bound


class Popped(NamedTuple):
    identities: list[Identity]
    next_at: datetime | None  # when the earliest of what is left is due
    lost: list[int]  # shards without an epoch


class Lost(NamedTuple):
    shards: list[int]
    life: str  # of this Redis: its run id, which a restart or a failover changes


class Plan:
    def __init__(self, redis: Redis, prefix: str, shards: int) -> None:
        self.redis = redis
        self.prefix = prefix
        self.shards = shards
        self._claim = redis.register_script(files("qhronos.plan").joinpath("claim.lua").read_text())

    async def add(self, entries: Iterable[tuple[Identity, datetime]]) -> None:
        """Plan occurrences for their instants; one that is planned already moves. Idempotent."""
        await self._add(entries, only_new=False)

    async def add_missing(self, entries: Iterable[tuple[Identity, datetime]]) -> int:
        """Plan those that are not planned, or for later than they should; how many were not."""
        return await self._add(entries, only_new=True)

    async def pop(self, horizon: datetime, now: datetime, limit: int) -> Popped:
        """Take what is due before `horizon`, at most `limit` over all shards, earliest first within each."""
        share = max(1, min(limit // self.shards, BATCH))
        args = [microseconds(horizon), microseconds(now + TRANSIT), share, microseconds(now)]
        async with translated():
            try:
                answers = await self._pop_shards(args)
            except NoScriptError:  # a restarted Redis has forgotten the script
                await self.redis.script_load(self._claim.script)
                answers = await self._pop_shards(args)
        found = [from_member(raw) for moved, *_ in answers if moved for raw in moved]
        nexts = [int(float(answer[1])) for answer in answers if len(answer) > 1 and answer[1] is not None]
        lost = [shard for shard, answer in enumerate(answers) if not answer or answer[0] is None]
        return Popped(found, instant(min(nexts)) if nexts else None, lost)

    async def arrived(self, identities: Sequence[Identity]) -> None:
        """These need no way back any more: Postgres has the say over them."""
        await self._drop("transit", identities)

    async def remove(self, identities: Sequence[Identity]) -> None:
        """Forget these. Best known early but never needed: a claim finds out as well."""
        await self._drop("due", identities)

    async def lost(self) -> Lost:
        """Which shards Redis lost: those without an epoch, and those of an earlier life, which may be older than they
        should be."""
        async with translated():
            pipeline = self.redis.pipeline(transaction=False)
            pipeline.info("server")
            for shard in range(self.shards):
                pipeline.get(self._key(shard, "epoch"))
            info, *epochs = await pipeline.execute(raise_on_error=False)
        for epoch in epochs:
            if isinstance(epoch, Exception):
                raise Unavailable("redis", str(epoch)) from epoch
        life = info.get("run_id", UNTOLD) if isinstance(info, dict) else UNTOLD
        return Lost([shard for shard, epoch in enumerate(epochs) if epoch != life.encode()], life)

    async def mark_whole(self, shards: Iterable[int], epoch: str) -> None:
        """Everything that belongs into `shards` is in them."""
        async with translated():
            pipeline = self.redis.pipeline(transaction=False)
            for shard in shards:
                pipeline.set(self._key(shard, "epoch"), epoch)
            await pipeline.execute()

    async def planned(self, identities: Sequence[Identity]) -> list[datetime | None]:
        """For when each is planned; None: it is not. What is in transit is due again when its transit ends."""
        async with translated():
            pipeline = self.redis.pipeline(transaction=False)
            for identity in identities:
                for name in ("due", "transit"):
                    pipeline.zscore(self._key(self._shard(identity.event_id), name), member(identity))
            scores = await pipeline.execute()
        found = (due if due is not None else transit for due, transit in zip(scores[::2], scores[1::2], strict=True))
        return [None if score is None else instant(int(score)) for score in found]

    async def planned_before(self, before: datetime, limit: int) -> list[Identity]:
        """What is planned for an instant before this one, at most `limit` of each shard."""
        async with translated():
            pipeline = self.redis.pipeline(transaction=False)
            for shard in range(self.shards):
                pipeline.zrange(
                    self._key(shard, "due"), "-inf", microseconds(before), byscore=True, offset=0, num=limit
                )
            return [from_member(raw) for found in await pipeline.execute() for raw in found]

    async def time(self) -> datetime:
        """What Redis' clock shows. It decides nothing; it may confirm the one that does."""
        async with translated():
            seconds, micros = await self.redis.time()
        return instant(seconds * 1_000_000 + micros)

    async def ping(self) -> None:
        async with translated():
            await self.redis.ping()

    async def close(self) -> None:
        await self.redis.aclose()

    async def _add(self, entries: Iterable[tuple[Identity, datetime]], *, only_new: bool) -> int:
        by_shard: dict[int, dict[bytes, bytes]] = defaultdict(dict)
        for identity, fire_at in entries:
            # As text already: the client takes twice as long over numbers.
            by_shard[self._shard(identity.event_id)][member(identity)] = b"%d" % microseconds(fire_at)
        if not by_shard:
            return 0
        how = (b"LT",) if only_new else ()
        async with translated():
            pipeline = self.redis.pipeline(transaction=False)
            for shard, scores in by_shard.items():
                for batch in _batches(list(scores.items())):
                    pairs = (part for name, score in batch for part in (score, name))
                    pipeline.execute_command("ZADD", self._key(shard, "due"), *how, *pairs)
            return sum(await pipeline.execute())

    async def _drop(self, name: str, identities: Sequence[Identity]) -> None:
        by_shard: dict[int, list[bytes]] = defaultdict(list)
        for identity in identities:
            by_shard[self._shard(identity.event_id)].append(member(identity))
        if not by_shard:
            return
        async with translated():
            pipeline = self.redis.pipeline(transaction=False)
            for shard, members in by_shard.items():
                for batch in _batches(members):
                    pipeline.zrem(self._key(shard, name), *batch)
            await pipeline.execute()

    async def _pop_shards(self, args: list[int]) -> list[Any]:
        pipeline = self.redis.pipeline(transaction=False)
        for shard in range(self.shards):
            keys = [self._key(shard, name) for name in ("due", "transit", "epoch")]
            pipeline.evalsha(self._claim.sha, len(keys), *keys, *args)
        answers = await pipeline.execute(raise_on_error=False)
        for answer in answers:
            if isinstance(answer, ResponseError):
                raise answer
        return list(answers)

    def _shard(self, event_id: UUID) -> int:
        # The last bytes of a time-ordered id are its random ones.
        return (event_id.int & LAST_BYTES) % self.shards

    def _key(self, shard: int, name: str) -> str:
        return f"{self.prefix}:{{{shard}}}:{name}"


def _batches(items: Sequence[T]) -> Iterable[Sequence[T]]:
    return (items[start : start + BATCH] for start in range(0, len(items), BATCH))
