from datetime import timedelta

from qhronos import metrics
from qhronos.clock import SystemClock
from qhronos.engine.anchor import Anchor
from qhronos.store import Database
from qhronos.store.clock import read


async def test_a_clock_that_was_wrong_is_set_by_postgres(database):
    store, clock = Database(database, 2), SystemClock()
    await store.open()
    clock.anchor(clock.now() + timedelta(hours=1), clock.monotonic())

    await Anchor(store, clock).tick()
    async with store.connection() as conn:
        before = clock.now()
        instant = await read(conn)
        after = clock.now()

    doubt = timedelta(milliseconds=50)  # of a machine that others use, too
    assert before - doubt <= instant <= after + doubt
    assert abs(clock.wall_offset()) < 1
    assert metrics.DB_POOL.labels("open")._value.get() >= 1
    await store.close()
