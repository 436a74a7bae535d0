"""The configuration of this app for Django."""

from __future__ import annotations

from django.apps import AppConfig


class SpinachdConfig(AppConfig):
    """Finds the tasks of all apps once they are loaded."""

    name = "spinach.contrib.spinachd"
    verbose_name = "Background jobs"

    def ready(self) -> None:
        """Attach the tasks of the installed apps."""
        from .project import discover_tasks  # it cannot be imported before the settings are ready

        discover_tasks()
