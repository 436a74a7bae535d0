"""The journal: one line of JSON per start and end of a function, appended to a file outside Redis.

Runs in any virtual environment; imports nothing of Spinach.
"""

import json
import os
import time


class Journal:
    """Appends whole lines, each in one write, so that processes share the file."""

    def __init__(self, path, who):
        self.path = path
        self.who = who
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)

    def write(self, kind, **facts):
        line = {"kind": kind, "who": self.who, "pid": os.getpid(), "time": time.time(), **facts}
        os.write(self._file, json.dumps(line).encode() + b"\n")

    def attempt(self, tag):
        """Count one more start of a tag over all processes; return its number, from 1."""
        folder = self.path + ".attempts"
        os.makedirs(folder, exist_ok=True)
        file = os.open(os.path.join(folder, tag), os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            os.write(file, b".")
            return os.fstat(file).st_size
        finally:
            os.close(file)
