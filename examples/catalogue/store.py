"""The demo's SQLite file: the results of the jobs, and a record of every attempt.

The jobs run at least once, so every write has the same result when it is repeated.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import astuple
from pathlib import Path
from typing import Any, Final

from .catalogue import FileFacts, Totals, digest_of, highest_overlap

# Two worker processes write at once; one waits at most this long for the other.
_BUSY_SECONDS: Final = 30.0

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS files (
    path TEXT PRIMARY KEY, size INTEGER, sha256 TEXT, compressed INTEGER, tokens INTEGER, nodes INTEGER,
    problem TEXT
);
CREATE TABLE IF NOT EXISTS imports (path TEXT, module TEXT, PRIMARY KEY (path, module)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS packages (name TEXT PRIMARY KEY, files INTEGER, archive_size INTEGER);
CREATE TABLE IF NOT EXISTS attempts (
    id INTEGER PRIMARY KEY, task TEXT, subject TEXT, worker INTEGER, started REAL, ended REAL, outcome TEXT
);
CREATE INDEX IF NOT EXISTS attempts_by_subject ON attempts (task, subject);
CREATE TABLE IF NOT EXISTS notes (label TEXT PRIMARY KEY, due REAL, ran REAL);
CREATE TABLE IF NOT EXISTS summaries (at REAL, worker INTEGER, files INTEGER, bytes INTEGER);
CREATE TABLE IF NOT EXISTS events (at REAL, worker INTEGER, kind TEXT, detail TEXT);
"""


class Store:
    """The catalogue in one SQLite file, open to several processes and threads.

    Args:
        path: The file; it is created when missing.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with self._transaction() as db:
            db.execute("PRAGMA journal_mode = WAL")
            db.executescript(_SCHEMA)

    # --- written by the jobs -----------------------------------------------------------------------

    def begin_attempt(self, task: str, subject: str) -> tuple[int, int]:
        """Store that an attempt begins; return its id, and how many attempts came before it."""
        with self._transaction() as db:
            before = db.execute(
                "SELECT count(*) FROM attempts WHERE task = ? AND subject = ?", (task, subject)
            ).fetchone()[0]
            cursor = db.execute(
                "INSERT INTO attempts (task, subject, worker, started) VALUES (?, ?, ?, ?)",
                (task, subject, os.getpid(), time.time()),
            )
        return int(cursor.lastrowid or 0), int(before)

    def end_attempt(self, attempt: int, outcome: str) -> None:
        """Store how an attempt ended."""
        with self._transaction() as db:
            _end(db, attempt, outcome)

    def put_file(self, attempt: int, facts: FileFacts) -> None:
        """Store the facts of a file, together with the end of the attempt that found them."""
        *columns, imports, problem = astuple(facts)
        with self._transaction() as db:
            db.execute("INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?, ?, ?, ?)", (*columns, problem))
            db.execute("DELETE FROM imports WHERE path = ?", (facts.path,))
            db.executemany("INSERT INTO imports VALUES (?, ?)", [(facts.path, module) for module in imports])
            _end(db, attempt, "done")

    def put_package(self, attempt: int, name: str, files: int, archive_size: int) -> None:
        """Store the size of a package."""
        with self._transaction() as db:
            db.execute("INSERT OR REPLACE INTO packages VALUES (?, ?, ?)", (name, files, archive_size))
            _end(db, attempt, "done")

    def put_note(self, label: str, due: float) -> None:
        """Store when a delayed job ran; a repetition changes nothing."""
        with self._transaction() as db:
            db.execute("INSERT OR IGNORE INTO notes VALUES (?, ?, ?)", (label, due, time.time()))

    def put_summary(self) -> tuple[int, int]:
        """Store the current totals; return files and bytes."""
        with self._transaction() as db:
            files, size = db.execute("SELECT count(*), coalesce(sum(size), 0) FROM files").fetchone()
            db.execute("INSERT INTO summaries VALUES (?, ?, ?, ?)", (time.time(), os.getpid(), files, size))
        return int(files), int(size)

    def put_event(self, kind: str, detail: str) -> None:
        """Store an event of a worker."""
        with self._transaction() as db:
            db.execute("INSERT INTO events VALUES (?, ?, ?, ?)", (time.time(), os.getpid(), kind, detail))

    def end_attempts_of(self, worker: int, at: float) -> int:
        """Store that a worker was killed; return how many attempts it ran."""
        with self._transaction() as db:
            return db.execute(
                "UPDATE attempts SET ended = ?, outcome = 'killed' WHERE worker = ? AND ended IS NULL",
                (at, worker),
            ).rowcount

    # --- read by the demo ----------------------------------------------------------------------------

    def rows(self, query: str, *arguments: Any) -> list[tuple[Any, ...]]:
        """Return the rows of a query."""
        with self._transaction() as db:
            return db.execute(query, arguments).fetchall()

    def value(self, query: str, *arguments: Any) -> Any:
        """Return the single value of a query."""
        return self.rows(query, *arguments)[0][0]

    def totals(self) -> Totals:
        """Add up the results of the jobs."""
        files, size, compressed, tokens, nodes = self.rows(
            "SELECT count(*), coalesce(sum(size), 0), coalesce(sum(compressed), 0), "
            "coalesce(sum(tokens), 0), coalesce(sum(nodes), 0) FROM files"
        )[0]
        packages, archive_bytes = self.rows("SELECT count(*), coalesce(sum(archive_size), 0) FROM packages")[
            0
        ]
        return Totals(
            files=files,
            bytes=size,
            compressed_bytes=compressed,
            tokens=tokens,
            syntax_nodes=nodes,
            distinct_imports=self.value("SELECT count(DISTINCT module) FROM imports"),
            packages=packages,
            archive_bytes=archive_bytes,
            digest=digest_of((path, sha256) for path, sha256 in self.rows("SELECT path, sha256 FROM files")),
        )

    def highest_concurrency(self, task: str) -> int:
        """Return the highest number of attempts of a task that ran at one moment, over all workers."""
        spans = self.rows("SELECT started, ended FROM attempts WHERE task = ? AND ended IS NOT NULL", task)
        return highest_overlap(spans)

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        # One connection per call: jobs run in threads, and opening a file is cheap compared to the work.
        with closing(sqlite3.connect(self.path, timeout=_BUSY_SECONDS, isolation_level="IMMEDIATE")) as db:
            db.execute("PRAGMA synchronous = NORMAL")
            with db:
                yield db


def _end(db: sqlite3.Connection, attempt: int, outcome: str) -> None:
    db.execute(
        "UPDATE attempts SET ended = ?, outcome = ? WHERE id = ? AND ended IS NULL",
        (time.time(), outcome, attempt),
    )
