"""The version, and the defaults that applications import. Changing a default changes every deployment."""

from __future__ import annotations

from typing import Final

# The only place that states the version; the build reads it from here.
VERSION = "0.1.0"

DEFAULT_QUEUE: Final = "spinach"
DEFAULT_NAMESPACE: Final = "spinach"
DEFAULT_MAX_RETRIES: Final = 0
DEFAULT_ENQUEUE_JOB_RETRIES: Final = 4
DEFAULT_WORKER_NUMBER: Final = 5
