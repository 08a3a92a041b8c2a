import asyncio

from qhronos.errors import Unavailable
from qhronos.service import LONGEST_OUTAGE_REST, OUTAGE_REST, run


class Scripted:
    """A service whose ticks end as listed, and that asks to stop after the last."""

    name = "scripted"

    def __init__(self, stop, *ends):
        self.wake = asyncio.Event()
        self.stop = stop
        self.ends = list(ends)
        self.drained = False

    async def tick(self):
        end = self.ends.pop(0)
        if not self.ends:
            self.stop.set()
        if isinstance(end, Exception):
            raise end
        return end

    async def drain(self):
        self.drained = True


async def test_a_service_rests_as_long_as_its_tick_says(clock):
    stop = asyncio.Event()
    service = Scripted(stop, 5.0, 7.0, 1.0)

    await run(service, clock, stop)

    assert 12.0 == clock.monotonic()
    assert service.drained


async def test_an_outage_is_waited_out_with_growing_rests(clock):
    stop = asyncio.Event()
    away = Unavailable("postgres", "gone")
    service = Scripted(stop, away, away, away, away, 0.0, away, 0.0)

    await run(service, clock, stop)

    rests = [OUTAGE_REST, 2 * OUTAGE_REST, 4 * OUTAGE_REST, LONGEST_OUTAGE_REST, OUTAGE_REST]
    assert sum(rests) == clock.monotonic()


async def test_a_bug_in_one_tick_does_not_end_the_service(clock):
    stop = asyncio.Event()
    service = Scripted(stop, ZeroDivisionError(), 0.0)

    await run(service, clock, stop)

    assert [] == service.ends
    assert service.drained


async def test_waking_ends_a_rest_early(clock):
    stop = asyncio.Event()
    service = Scripted(stop, 5.0, 0.0)
    tick = service.tick

    async def tick_and_wake():
        rest = await tick()
        service.wake.set()
        return rest

    service.tick = tick_and_wake

    await run(service, clock, stop)

    assert 0.0 == clock.monotonic()
