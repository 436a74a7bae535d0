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


def ignore_multiprocess_folder() -> None:
    """Load the client library as if the variable were not set; a line in the log says so.

    The library reads the variable when it is first imported. Where the application has imported it already,
    the values do go to the folder, which is made if it is missing.
    """
    found = {name: os.environ[name] for name in _VARIABLES if name in os.environ}
    if not found:
        return
    name, folder = next(iter(found.items()))
    if "prometheus_client" in sys.modules:
        try:
            os.makedirs(folder, exist_ok=True)
        except OSError as error:
            logger.warning("%s is %r, which cannot be made: %s", name, folder, error)
        return
    for variable in found:
        del os.environ[variable]
    try:
        import prometheus_client  # noqa: F401 - the import decides where values are kept
    finally:
        os.environ.update(found)
    logger.warning(
        "%s is ignored: this process serves its own metrics", name, extra={"action": "multiprocess_ignored"}
    )
