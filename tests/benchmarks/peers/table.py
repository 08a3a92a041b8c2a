"""Which peers there are, and at which settings."""

from __future__ import annotations

from tests.benchmarks.peers import Peer

CELERY = tuple(
    "{bin}/celery -A on_celery worker -P threads -c 32 -l ERROR"
    " --without-gossip --without-mingle --without-heartbeat".split()
)
HUEY = tuple("{bin}/huey_consumer on_huey.huey -w 32 -k thread -d 0.05 -m 0.05 -s 1 -q".split())
RQ = ("{bin}/rq", "worker", "-w", "rq.worker.SimpleWorker", "--url", "unix://{socket}", "-q")

PEERS = (
    Peer(
        name="pg-boss",
        group="node",
        program="on_pgboss",
        durable="yes",
        is_durable=True,
        settings="batches of 500, polled every 0.5 s, which is its least",
        intake=4_000,
    ),
    Peer(
        name="graphile-worker",
        group="node",
        program="on_graphile",
        has_schema=True,
        durable="yes",
        is_durable=True,
        settings="concurrency 100, local queue of 500, completions in batches, polled every 0.1 s",
        intake=4_000,
    ),
    Peer(
        name="BullMQ",
        group="node",
        program="on_bullmq",
        enqueues_first=False,
        durable="yes",
        is_durable=True,
        settings="concurrency 200",
        intake=2_500,
    ),
    Peer(
        name="APScheduler, memory",
        group="python",
        program="on_apscheduler",
        workers=(),
        durable="no",
        settings="AsyncIOScheduler on uvloop, jobs in memory",
        intake=2_500,
    ),
    Peer(
        name="APScheduler, Redis",
        group="python",
        program="on_apscheduler",
        workers=(),
        env={"STORE": "redis"},
        durable="partly: removed before it runs",
        settings="AsyncIOScheduler on uvloop, jobs in Redis",
        burst=2_000,
        intake=500,
    ),
    Peer(
        name="arq",
        group="python",
        program="on_arq",
        enqueues_first=False,
        durable="yes",
        is_durable=True,
        settings="200 jobs at once, polled every 0.05 s, no results",
        burst=2_000,
    ),
    Peer(
        name="Celery",
        group="celery",
        program="on_celery",
        workers=(CELERY,),
        durable="yes, as it acknowledges late",
        is_durable=True,
        settings="Redis, ETA tasks, 32 threads, prefetch multiplier 8, late acknowledgement, no results",
        burst=2_000,
        intake=300,
    ),
    Peer(
        name="dramatiq",
        group="python",
        program="on_dramatiq",
        workers=(("{bin}/dramatiq", "on_dramatiq", "-p", "2", "-t", "16"),),
        env={"dramatiq_delay_queue_prefetch": "20000"},
        durable="yes",
        is_durable=True,
        settings="Redis, 2 processes of 16 threads, 20,000 delayed messages prefetched",
        burst=2_000,
        intake=800,
    ),
    Peer(
        name="huey",
        group="python",
        program="on_huey",
        workers=(
            (
                "{bin}/huey_consumer",
                "on_huey.huey",
                "-w",
                "32",
                "-k",
                "thread",
                "-d",
                "0.05",
                "-m",
                "0.05",
                "-s",
                "1",
                "-q",
            ),
        ),  # fmt: skip
        durable="no",
        settings="Redis, 32 threads, its scheduler once a second, which is its least, no results",
        burst=2_000,
    ),
    Peer(
        name="RQ",
        group="python",
        program="on_rq",
        workers=((*RQ, "--with-scheduler"), RQ, RQ),
        durable="kept, and marked failed",
        settings="3 SimpleWorkers, which do not fork, one of them with the scheduler",
        burst=1_000,
        intake=400,
    ),
    Peer(
        name="procrastinate",
        group="python",
        program="on_procrastinate",
        has_schema=True,
        durable="by a task for stalled jobs",
        is_durable=True,
        settings="concurrency 100, polled every 0.1 s, jobs deleted when done",
        burst=500,
        intake=200,
    ),
)
