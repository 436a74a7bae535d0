"""A client process of tests: schedules what it reads from standard input, with either package.

Input: one JSON object per line, ``{"task", "args", "kwargs", "after"}`` (seconds from now, or null for now),
or ``{"batch": [such objects]}``. Output: the ids, one JSON list per line.
"""

import datetime
import json
import sys

import redis
from journal import Journal
from tasks import make_tasks

from spinach import Batch, Engine, RedisBroker


def date(entry):
    return datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=entry["after"])


def main():
    given = json.loads(sys.argv[1])
    engine = Engine(
        RedisBroker(redis.Redis(host="127.0.0.1", port=given["port"])), namespace=given["namespace"]
    )
    engine.attach_tasks(make_tasks(Journal(given["journal"], given["who"])))
    for line in sys.stdin:
        entry = json.loads(line)
        jobs = []
        if "batch" in entry:
            batch = Batch()
            for each in entry["batch"]:
                args, kwargs = each["args"], each.get("kwargs", {})
                if each.get("after") is None:
                    batch.schedule(each["task"], *args, **kwargs)
                else:
                    batch.schedule_at(each["task"], date(each), *args, **kwargs)
            jobs = engine.schedule_batch(batch) or []
        elif entry.get("after") is None:
            jobs = [engine.schedule(entry["task"], *entry["args"], **entry.get("kwargs", {}))]
        else:
            jobs = [engine.schedule_at(entry["task"], date(entry), *entry["args"], **entry.get("kwargs", {}))]
        print(json.dumps([str(job.id) for job in jobs if job is not None]), flush=True)


if __name__ == "__main__":
    main()
