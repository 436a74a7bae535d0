"""Every error the engine raises, as one tree. Applications catch `SpinachError`, or what they can handle.

::

    SpinachError
    ├── UnknownTask                    the task is not attached to this engine
    ├── InvalidJobSignatureError       arguments do not fit the task's function
    ├── InvalidJobArguments            arguments cannot be written as JSON   (also TypeError, ValueError)
    ├── InvalidNamespace               empty, or holds control characters    (also ValueError)
    ├── WorkerLost                     a job's worker died, and the job must not run twice
    ├── MalformedJob                   stored bytes that are not a job
    └── BrokerError
        ├── BrokerUnavailable          the broker cannot be reached or refuses          (also ConnectionError)
        │   ├── EnqueueUncertain       the reply was lost: the jobs may have been accepted
        │   └── NotPermitted           the broker refuses the user, the password, or the command
        ├── NoNotifications            the broker cannot notify this client; only inside of workers
        ├── WrongKeyType               a key of the namespace belongs to something else
        ├── NewerLayout                the namespace was written by a newer release
        └── LeaseRevoked               this worker was declared dead; its late results do not count
"""

from __future__ import annotations

from typing import Literal

__all__ = [
    "BrokerError",
    "BrokerUnavailable",
    "EnqueueUncertain",
    "InvalidJobArguments",
    "InvalidJobSignatureError",
    "InvalidNamespace",
    "LeaseRevoked",
    "MalformedJob",
    "NewerLayout",
    "NoNotifications",
    "NotPermitted",
    "SpinachError",
    "UnknownTask",
    "WorkerLost",
    "WrongKeyType",
]

# Why a broker cannot be used now.
Unavailability = Literal["connection", "timeout", "auth", "permission"]


class SpinachError(Exception):
    """Base of every error of this package."""


class UnknownTask(SpinachError):
    """The task is not attached to this engine."""


class InvalidJobSignatureError(SpinachError):
    """The job's arguments do not fit the signature of the task's function."""


class InvalidJobArguments(SpinachError, TypeError, ValueError):
    """The job's arguments cannot be written as strict JSON."""


class InvalidNamespace(SpinachError, ValueError):
    """The namespace is empty or contains control characters."""


class MalformedJob(SpinachError):
    """The stored bytes cannot be read as a job."""


class WorkerLost(SpinachError):
    """The worker that ran the job died, and the job must not run twice."""


class BrokerError(SpinachError):
    """Base of what goes wrong between the engine and its broker.

    Attributes:
        accepted: How many jobs of a batch were accepted before the error, counted from its first job.
    """

    accepted: int = 0


class BrokerUnavailable(BrokerError, ConnectionError):
    """The broker cannot be reached or refuses the request.

    Of a batch no more jobs than `accepted` were accepted.

    Args:
        message: What happened, and at which server.
        kind: Why, as below.

    Attributes:
        kind: ``"timeout"`` (no answer in time), ``"auth"`` (user or password refused), ``"permission"`` (not
            allowed to this user) or ``"connection"`` (everything else).
    """

    def __init__(self, message: str = "", *, kind: Unavailability = "connection") -> None:
        super().__init__(message)
        self.kind: Unavailability = kind


class EnqueueUncertain(BrokerUnavailable):
    """The connection broke after jobs were sent: they may or may not have been accepted.

    Scheduling the same jobs again may run them twice. Of a batch, the first `accepted` jobs were accepted for
    certain.
    """


class NotPermitted(BrokerUnavailable):
    """The broker refuses the user, the password, or a command of the user.

    Args:
        message: What was refused, and by which server.
        at_login: Whether the broker refused the user or the password, and not a command.
    """

    def __init__(self, message: str = "", *, at_login: bool = False) -> None:
        super().__init__(message, kind="auth" if at_login else "permission")
        self.at_login = at_login


class NoNotifications(BrokerError):
    """The broker can be reached, and cannot notify this client; the message says why, and the remedy."""


class WrongKeyType(BrokerError):
    """A key of the namespace holds a value of a type that Spinach does not store there."""


class NewerLayout(BrokerError):
    """The namespace was written by a newer release of this package."""


class LeaseRevoked(BrokerError):
    """The worker was declared dead: the jobs it held belong to other workers now.

    Args:
        worker_id: The id that no longer counts.
    """

    def __init__(self, worker_id: str) -> None:
        super().__init__(f"worker {worker_id} was declared dead; its late results no longer count")
        self.worker_id = worker_id
