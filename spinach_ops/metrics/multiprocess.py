"""Keeps `PROMETHEUS_MULTIPROC_DIR` from ending or filling a process that serves its metrics itself.

With that variable the client library writes every value to files of the folder, for a web server that gathers
the values of several processes. A worker and an exporter serve what they count themselves. Loads the client
library only where the variable is set.
"""

from __future__ import annotations

import os
import sys
from typing import Final

from spinach.logger import SafeLogger

logger = SafeLogger(__name__)

_VARIABLES: Final = ("PROMETHEUS_MULTIPROC_DIR", "prometheus_multiproc_dir")


def make_multiprocess_folder() -> None:
    """Make the folder that the variable names, where it is missing: the client library does not.

    For the process of an application, whose web server gathers the values.
    """
    for name in _VARIABLES:
        if folder := os.environ.get(name):
            try:
                os.makedirs(folder, exist_ok=True)
            except OSError as error:
                logger.warning("%s is %r, which cannot be made: %s; set it to a folder", name, folder, error)


def ignore_multiprocess_folder() -> None:
    """Load the client library as if the variable were not set; a line in the log says so.

    The library reads the variable when it is first imported. Where the application has imported it already,
    the values do go to the folder, which is made if it is missing.
    """
    found = {name: os.environ[name] for name in _VARIABLES if name in os.environ}
    if not found:
        return
    if "prometheus_client" in sys.modules:
        make_multiprocess_folder()
        return
    for name in found:
        del os.environ[name]
    try:
        import prometheus_client  # noqa: F401 - the import decides where values are kept
    finally:
        os.environ.update(found)
    logger.warning(
        "%s is ignored: this process serves its own metrics", next(iter(found)),
        extra={"action": "multiprocess_ignored"},
    )  # fmt: skip
