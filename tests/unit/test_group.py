from __future__ import annotations

import asyncio

import pytest

from qhronos.engine.group import GROUP, GroupCommit


class Commits:
    """Notes every group, and lets it through when told to."""

    def __init__(self):
        self.groups = []
        self.in_flight = self.most_in_flight = 0
        self.open = asyncio.Event()
        self.begun = asyncio.Queue()

    async def __call__(self, items):
        self.groups.append(list(items))
        self.begun.put_nowait(None)
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        await self.open.wait()
        self.in_flight -= 1
        if "bad" in items:
            raise ValueError(len(items))
        return [item * 2 for item in items]


@pytest.fixture
def commits():
    return Commits()


@pytest.fixture
def group(commits):
    return GroupCommit(commits)


async def test_each_gets_its_own_result(group, commits):
    commits.open.set()

    assert [n * 2 for n in range(1000)] == await asyncio.gather(*(group.submit(n) for n in range(1000)))


async def test_what_arrives_meanwhile_shares_the_next_ones(group, commits):
    waiting = []
    for n in range(2):
        waiting.append(asyncio.create_task(group.submit(n)))
        await commits.begun.get()
    waiting += [asyncio.create_task(group.submit(n)) for n in range(2, 8)]
    commits.open.set()
    await asyncio.gather(*waiting)

    assert ([[0], [1], [2, 3, 4, 5, 6, 7]], 2) == (commits.groups, commits.most_in_flight)


async def test_a_group_has_a_bound(group, commits):
    waiting = [asyncio.create_task(group.submit(n)) for n in range(GROUP * 2 + 1)]
    commits.open.set()
    await asyncio.gather(*waiting)

    assert [GROUP, GROUP, 1] == [len(items) for items in commits.groups]


async def test_a_caller_that_goes_away_takes_nobody_along(group, commits):
    leaving, staying = (asyncio.create_task(group.submit(n)) for n in (1, 2))
    await commits.begun.get()
    leaving.cancel()
    await asyncio.wait([leaving])
    commits.open.set()

    assert (4, True) == (await staying, leaving.cancelled())


async def test_what_fails_the_group_is_told_to_all_of_it(group, commits):
    commits.open.set()

    results = await asyncio.gather(*(group.submit(item) for item in ("a", "bad", "b")), return_exceptions=True)

    assert [ValueError] * 3 == [type(result) for result in results]
    assert "aa" == await group.submit("a")
