"""Whatever users, services, time and faults do in whatever order: what was promised is recorded, and what must hold holds.

The same against real stores as in a fault of the night, but step by step, so that a failure shrinks to its few steps.
`make machine` tries many.
"""

from __future__ import annotations

import asyncio
import os
from contextlib import ExitStack

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from structlog.testing import capture_logs

from tests.service.events import HOOK
from tests.service.machine import ANSWERS, World, open_machine

EXAMPLES = int(os.environ.get("QHRONOS_TEST_EXAMPLES", "40"))
STEPS = 30
EVERY = st.sampled_from([60, 90, 300, None])
POLICIES = st.sampled_from(
    [{}, {}, {"ordering_key": "one"}, {"on_success": {"type": "webhook", "params": {"url": HOOK}}}]
)
WHICH = st.integers(0, 7)
EITHER = st.integers(0, 1)


class Machine(RuleBasedStateMachine):
    runner: asyncio.Runner
    opened: tuple[object, object]

    @initialize()
    def begin(self):
        api, clock = self.opened
        clock._passed = 0.0
        self.world = self.run(World(api, clock).start())

    def run(self, doing):
        return self.runner.run(doing)

    def an_event(self, which):
        live = [known for known in self.world.known if not known.deleted]
        return live[which % len(live)] if live else None

    def change(self, which, does, *args, **kwargs):
        if known := self.an_event(which):
            self.run(does(known, *args, **kwargs))

    # users

    @precondition(lambda self: len(self.world.known) < 4)
    @rule(every=EVERY, ahead=st.sampled_from([0, 0, 30, 100]), policies=POLICIES)
    def create(self, every, ahead, policies):
        self.run(self.world.create(every, ahead, policies))

    @rule(which=WHICH, every=EVERY, moves=st.booleans())
    def edit(self, which, every, moves):
        self.change(which, self.world.edit, every, moves=moves)

    @rule(which=WHICH)
    def pause(self, which):
        self.change(which, self.world.pause)

    @rule(which=WHICH, backlog=st.sampled_from(["skip", "fire_latest", "fire_all"]))
    def resume(self, which, backlog):
        self.change(which, self.world.resume, backlog)

    @rule(which=WHICH)
    def delete(self, which):
        self.change(which, self.world.delete)

    @rule(which=WHICH)
    def run_now(self, which):
        self.change(which, self.world.run_now)

    @rule(which=WHICH)
    def skip(self, which):
        self.change(which, self.world.skip)

    @rule(which=WHICH)
    def replay(self, which):
        self.change(which, self.world.replay)

    # services

    @rule()
    def expander_ticks(self):
        self.run(self.world.expand())

    @rule(either=EITHER, slow=st.booleans())
    def dispatcher_ticks(self, either, slow):
        if slow:  # as receivers are from now on
            self.world.gate.clear()
        self.run(self.world.lives[either].tick())

    @rule()
    def janitors_tick(self):
        for loop in (self.world.reaper, self.world.rebuilder, self.world.sweeper):
            self.run(loop.tick())

    @rule(seconds=st.sampled_from([0.5, 3, 20, 61, 200, 2000]))
    def time_passes(self, seconds):
        self.run(self.world.pass_time(seconds))

    # receivers

    @rule(answer=st.sampled_from(sorted(ANSWERS)))
    def receivers_answer(self, answer):
        self.world.answer = answer
        self.world.ever_failed |= answer != "taken"
        self.run(self.world.finish())

    # faults

    @rule(either=EITHER)
    def dispatcher_is_killed(self, either):
        self.run(self.world.kill(self.world.lives[either]))

    @rule(either=EITHER)
    def dispatcher_is_frozen(self, either):
        self.run(self.world.freeze(self.world.lives[either]))

    @rule()
    def redis_is_flushed(self):
        self.run(self.world.flush())

    @rule(either=EITHER)
    def claim_is_unheard(self, either):
        self.run(self.world.lives[either].unheard_tick())

    @rule(either=EITHER)
    def settlement_is_unheard(self, either):
        self.run(self.world.lives[either].unheard_settlement())

    # what must hold

    @rule()
    def fsck_finds_nothing(self):
        self.run(self.world.fsck(settled=False))

    @invariant()
    def it_holds(self):
        if hasattr(self, "world"):
            self.run(self.world.check())

    def teardown(self):
        if hasattr(self, "world"):
            try:
                self.run(self.world.settle())
                self.run(self.world.check_all())
            finally:
                self.run(self.world.end())


@pytest.fixture
def machine(database, redis_url, redis_prefix):
    with ExitStack() as stack:
        stack.enter_context(capture_logs())
        runner = stack.enter_context(asyncio.Runner())
        opening = open_machine(database, redis_url, redis_prefix)
        opened = runner.run(opening.__aenter__())
        stack.callback(lambda: runner.run(opening.__aexit__(None, None, None)))
        yield type("Machine", (Machine,), {"runner": runner, "opened": opened})


def test_nothing_is_lost_whatever_happens_in_whatever_order(machine):
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=STEPS,
            deadline=None,
            database=None,
            derandomize="QHRONOS_TEST_EXAMPLES" not in os.environ,
            report_multiple_bugs=False,
            phases=(Phase.generate, Phase.shrink),
            suppress_health_check=list(HealthCheck),
        ),
    )
