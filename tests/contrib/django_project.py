"""A Django project in a folder of its own, driven through its manage.py."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from uuid import uuid4

import redis

from spinach import Engine, RedisBroker
from tests.contrib.conftest import run_to_end

MANAGE = """
import os, sys
from django.core.management import execute_from_command_line

if __name__ == "__main__":
    os.environ["DJANGO_SETTINGS_MODULE"] = "settings"
    execute_from_command_line(sys.argv)
"""

SETTINGS = """
import redis
from pathlib import Path
from spinach import RedisBroker

SECRET_KEY = "only for tests"
USE_TZ = True
BASE_DIR = Path(__file__).parent
INSTALLED_APPS = ["django.contrib.contenttypes", "django.contrib.sessions", "spinach.contrib.spinachd",
    "shop"]
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": BASE_DIR / "db.sqlite"}}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
EMAIL_BACKEND = "spinach.contrib.spinachd.mail.BackgroundEmailBackend"
EMAIL_HOST = "127.0.0.1"
"""

# Nobody listens on port 1; the client's own retries would only take time.
AWAY = """
from redis.backoff import NoBackoff
from redis.retry import Retry
SPINACH_BROKER = RedisBroker(redis.Redis(port=1, retry=Retry(NoBackoff(), 0)), enqueue_job_max_retries=0)
"""

TASKS = """
import json, threading
from pathlib import Path
from spinach import Tasks

tasks = Tasks()

@tasks.task(name="note")
def note(path, text):
    with Path(path).open("a") as file:
        file.write(text)
"""

PROLOGUE = """
import json, os
os.environ["DJANGO_SETTINGS_MODULE"] = "settings"
import django
django.setup()
from spinach.contrib.spinachd import spin
"""


class Project:
    """A project with the app `shop`, whose tasks are `TASKS` and `tasks`; `settings` are added to
    `SETTINGS`.
    """

    def __init__(self, folder: Path, port: int, settings: str = "", tasks: str = "") -> None:
        self.folder = folder
        self.namespace = f"django-{uuid4().hex[:8]}"
        (folder / "manage.py").write_text(MANAGE)
        broker = f"SPINACH_BROKER = RedisBroker(redis.Redis(port={port}))\n"
        connection = f"{broker}SPINACH_NAMESPACE = {self.namespace!r}\n"
        (folder / "settings.py").write_text(SETTINGS + connection + settings)
        (folder / "shop").mkdir()
        (folder / "shop" / "__init__.py").touch()
        (folder / "shop" / "tasks.py").write_text(TASKS + tasks)
        # The same namespace, seen from the test; it knows no tasks.
        self.engine = Engine(RedisBroker(redis.Redis(port=port)), namespace=self.namespace)

    def set(self, settings: str) -> None:
        """Add settings."""
        with (self.folder / "settings.py").open("a") as file:
            file.write(settings)

    def manage(self, *arguments: str, expect: int = 0) -> str:
        """Run a command of manage.py; return what it printed."""
        done = run_to_end("manage.py", *arguments, cwd=self.folder, expect=expect)
        return done.stdout + done.stderr

    def work(self, *arguments: str) -> str:
        """Run the jobs that are due with `manage.py spinach`."""
        return self.manage("spinach", "--stop-when-queue-empty", *arguments)

    def run(self, code: str) -> Any:
        """Run code in a process of the project; return the JSON it printed last, if any."""
        program = self.folder / "program.py"
        program.write_text(PROLOGUE + code)
        lines = run_to_end(program.name, cwd=self.folder).stdout.splitlines()
        return json.loads(lines[-1]) if lines else None
