"""A worker process of tests: ``python worker.py '{"port": ..., "namespace": ..., ...}'``, with either
package.
"""

import json
import logging
import sys

import redis
from journal import Journal
from tasks import make_tasks

import spinach
from spinach import Engine, RedisBroker, signals

HEARD = set()


def hear_signals(journal, names):
    for name in names:
        signal = getattr(signals, name, None)
        if signal is None:
            continue

        def receive(_sender, _name=name, **facts):
            told = {}
            if "job" in facts:
                job = facts["job"]
                told = {"job": str(job.id), "task": job.task_name, "retries": job.retries}
                told["tag"] = job.task_args[0] if job.task_args else None
            if "worker_info" in facts:
                told["worker"] = facts["worker_info"].id
            if "recovered" in facts:
                told.update(recovered=facts["recovered"], failed=facts["failed"])
            if "err" in facts:
                told["error"] = type(facts["err"]).__name__
            journal.write("signal", signal=_name, **told)

        HEARD.add(receive)  # blinker holds receivers weakly
        signal.connect(receive)


def main():
    given = json.loads(sys.argv[1])
    logging.basicConfig(level=given.get("log_level", "INFO"), format="%(asctime)s %(levelname)s %(message)s")
    if "recursion_limit" in given:
        sys.setrecursionlimit(given["recursion_limit"])
    journal = Journal(given["journal"], given["who"])
    options = given.get("client", {})
    client = redis.Redis(host="127.0.0.1", port=given["port"], **{"socket_timeout": 15, **options})
    if given.get("threshold"):
        RedisBroker.broker_dead_threshold_seconds = given["threshold"]
    engine = Engine(RedisBroker(client), namespace=given["namespace"])
    engine.attach_tasks(
        make_tasks(journal, given.get("periodic", False), given.get("limit", 2), given.get("prefix", ""))
    )
    hear_signals(journal, given.get("signals", ()))
    if given.get("metrics"):
        from spinach_ops import serve

        serve(engine, port=0)
    journal.write("worker", version=getattr(spinach, "__version__", None))
    engine.start_workers(
        number=given.get("number", 4),
        queue=given.get("queue", "spinach"),
        stop_when_queue_empty=given.get("drain", False),
    )
    journal.write("stopped")


if __name__ == "__main__":
    main()
