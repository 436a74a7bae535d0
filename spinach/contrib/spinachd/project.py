"""The one engine of a Django project."""

from __future__ import annotations

import sys
import threading

from django.apps import apps
from django.utils.module_loading import autodiscover_modules

from ... import signals
from ...engine import Engine
from ...task import Tasks
from . import conf, connections

_lock = threading.RLock()
_engines: list[Engine] = []


def get_engine() -> Engine:
    """Return the engine of the project; the first call makes it from the settings."""
    with _lock:
        if not _engines:
            engine = Engine(conf.broker(), namespace=conf.namespace())
            engine.wrap_attempts(connections.closed_around)
            signals.worker_terminated.connect(connections.close_all, sender=engine.namespace, weak=False)
            _engines.append(engine)
        return _engines[0]


def discover_tasks() -> None:
    """Import the module `tasks` of each installed app, and attach its registry `tasks` if it has one."""
    autodiscover_modules("tasks")
    engine = get_engine()
    for app in apps.get_app_configs():
        tasks = getattr(sys.modules.get(f"{app.name}.tasks"), "tasks", None)
        if isinstance(tasks, Tasks):
            engine.attach_tasks(tasks)
