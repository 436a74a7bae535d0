"""The tasks that the worker processes of tests run; written so that the published package runs them, too."""

import contextlib
import datetime
import hashlib
import time

from spinach import RetryException, Tasks


def make_tasks(journal, periodic=False, limit=2, prefix=""):  # noqa: C901 - a list of functions
    tasks = Tasks()

    @contextlib.contextmanager
    def journalled(tag, **facts):
        number = journal.attempt(tag)
        journal.write("start", tag=tag, number=number, **facts)
        try:
            yield number
        except BaseException:
            journal.write("raised", tag=tag, number=number)
            raise
        journal.write("end", tag=tag, number=number)

    @tasks.task(name=prefix + "once", max_retries=0)
    def once(tag, seconds=0, fails=False):
        with journalled(tag):
            time.sleep(seconds)
            if fails:
                raise ValueError("told to fail")

    @tasks.task(name=prefix + "safe", max_retries=3)
    def safe(tag, seconds=0):
        with journalled(tag):
            time.sleep(seconds)

    @tasks.task(name=prefix + "flaky", max_retries=3)
    def flaky(tag, failures, delay=0):
        with journalled(tag) as number:
            if number <= failures:
                at = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=delay)
                raise RetryException("told to retry", at=at)

    @tasks.task(name=prefix + "limited", max_retries=3, max_concurrency=limit)
    def limited(tag, seconds=0):
        with journalled(tag):
            time.sleep(seconds)

    @tasks.task(name=prefix + "echo", max_retries=3)
    def echo(tag, *args, **kwargs):
        shown = repr((args, sorted(kwargs.items())))
        digest = hashlib.sha256(shown.encode()).hexdigest()
        with journalled(tag, digest=digest, shown=shown[:500]):
            pass

    @tasks.task(name=prefix + "echo_flaky", max_retries=3)
    def echo_flaky(tag, *args, **kwargs):
        shown = repr((args, sorted(kwargs.items())))
        digest = hashlib.sha256(shown.encode()).hexdigest()
        with journalled(tag, digest=digest, shown=shown[:500]) as number:
            if number == 1:
                raise RetryException("again", at=datetime.datetime.now(datetime.timezone.utc))

    @tasks.task(name=prefix + "echo_slow", max_retries=3)
    def echo_slow(tag, *args, **kwargs):
        """Hang in the first attempt, so that the worker can be killed in it."""
        shown = repr((args, sorted(kwargs.items())))
        digest = hashlib.sha256(shown.encode()).hexdigest()
        with journalled(tag, digest=digest, shown=shown[:500]) as number:
            if number == 1:
                time.sleep(600)

    @tasks.task(name=prefix + "echo_fails", max_retries=0)
    def echo_fails(tag, *args, **kwargs):
        with journalled(tag):
            raise ValueError("told to fail")

    if periodic:

        @tasks.task(name=prefix + "tick", periodicity=datetime.timedelta(seconds=1), max_retries=1)
        def tick():
            journal.write("tick", task=prefix + "tick")

    return tasks
