"""Every signal the engine sends. The sender is the namespace; a receiver that raises harms nothing.

======================  ==============================================  ======================================
signal                  payload                                         sent
======================  ==============================================  ======================================
job_queued              job                                             accepted by the broker, runnable
job_waiting             job                                             accepted by the broker, due later
job_promoted            job                                             a waiting job became due and runnable
job_started             job, queue_wait, attempt                        before the function is called
job_succeeded           job, duration, queue_wait, attempt              the function returned
job_schedule_retry      job, err, duration, queue_wait, attempt         the function raised; it will run again
job_failed              job, err, duration, queue_wait, attempt         the job will not run again
job_finished            job, duration, queue_wait, attempt, outcome     after every attempt
job_recovered           job, worker_info                                taken from a dead worker, queued again
worker_lost             worker_info, recovered, failed                  a worker was declared dead
worker_started          worker_name                                     a worker thread or loop runs
worker_terminated       worker_name                                     it has ended
receiver_failed         signal, receiver, err                           a receiver of another signal raised
======================  ==============================================  ======================================

``duration`` and ``queue_wait`` are seconds, ``attempt`` counts from 1, ``outcome`` is the value of a
`spinach.retry.Verdict`. ``job_schedule_retry`` and ``job_failed`` are sent in the worker's thread while the
exception is handled. They carry only ``job`` and ``err`` where nothing was started: the task is unknown to
the worker, or the worker of a job died and the job must not be repeated.

A receiver gets the keyword arguments that its signature accepts. So one that takes few keeps working when
signals carry more.

Example:
    >>> @signals.job_failed.connect_via(engine.namespace)
    ... def alert(namespace, job, err):
    ...     print(f"{job.task_name} failed: {err}")
"""

from __future__ import annotations

import inspect
import os
import threading
import weakref
from collections.abc import Callable
from types import MethodType
from typing import Any, Final, TypeVar

import blinker

from .logger import SafeLogger

__all__ = [
    "SafeNamedSignal",
    "job_failed",
    "job_finished",
    "job_promoted",
    "job_queued",
    "job_recovered",
    "job_schedule_retry",
    "job_started",
    "job_succeeded",
    "job_waiting",
    "receiver_failed",
    "worker_lost",
    "worker_started",
    "worker_terminated",
]

logger = SafeLogger(__name__)

F = TypeVar("F", bound=Callable[..., Any])

# A receiver or a weak reference to one, which of the two, and the facts it takes (None: all).
_Listener = tuple[Any, bool, "frozenset[str] | None"]
# Senders are namespaces, and a process has few.
_MAX_SENDERS: Final = 64
_signals: Final[weakref.WeakSet[SafeNamedSignal]] = weakref.WeakSet()


class SafeNamedSignal(blinker.NamedSignal):
    """A signal whose receivers cannot harm the sender.

    The receivers of a sender, and the facts that each accepts, are computed once and kept until a receiver
    connects or disconnects, because every job sends signals.

    Args:
        name: Name of the signal.
        doc: What it reports.
    """

    def __init__(self, name: str, doc: str | None = None) -> None:
        super().__init__(name, doc)
        self._listeners_by_sender: dict[str, tuple[_Listener, ...]] = {}
        self._connecting = threading.RLock()
        _signals.add(self)

    def replace_lock(self) -> None:
        """Replace the lock; called in a forked child, which does not have the thread that may hold it."""
        self._connecting = threading.RLock()

    def connect(self, receiver: F, sender: Any = blinker.ANY, weak: bool = True) -> F:
        """Connect a receiver.

        Args:
            receiver: Called with the namespace and the facts it accepts, in the thread that sends.
            sender: The namespace to hear; None or `blinker.ANY` hears every engine.
            weak: Hold the receiver by a weak reference: a function that nothing else refers to is lost.

        Returns:
            The receiver.
        """
        with self._connecting:
            self._listeners_by_sender.clear()
            return super().connect(receiver, blinker.ANY if sender is None else sender, weak)

    def disconnect(self, receiver: Callable[..., Any], sender: Any = blinker.ANY) -> None:
        """Disconnect a receiver.

        Args:
            receiver: The receiver.
            sender: The namespace it hears; by default it is disconnected from all.
        """
        with self._connecting:
            self._listeners_by_sender.clear()
            super().disconnect(receiver, blinker.ANY if sender is None else sender)

    def send(self, sender: Any = None, /, **facts: Any) -> list[tuple[Callable[..., Any], Any]]:
        """Call every receiver with the facts it accepts; log those that raise.

        Args:
            sender: The namespace.
            **facts: What the signal reports.

        Returns:
            Pairs of receiver and what it returned, without those that raised.
        """
        if not self.receivers:
            return []
        listeners = self._listeners_by_sender.get(sender) if type(sender) is str else None
        if listeners is None:
            listeners = self._gather(sender)
        results = []
        for listener, is_reference, accepted in listeners:
            receiver = listener() if is_reference else listener
            if receiver is None:  # held by a weak reference, and collected
                continue
            accepted_facts = (
                facts if accepted is None else {name: facts[name] for name in facts if name in accepted}
            )
            try:
                results.append((receiver, receiver(sender, **accepted_facts)))
            except BaseException as error:
                self._report(sender, receiver, error)
        return results

    def _gather(self, sender: Any) -> tuple[_Listener, ...]:
        with self._connecting:
            references = {
                _identity(receiver): held
                for held in list(self.receivers.values())
                if isinstance(held, weakref.ref) and (receiver := held()) is not None
            }
            listeners = tuple(_listener(receiver, references) for receiver in self.receivers_for(sender))
            if len(self._listeners_by_sender) >= _MAX_SENDERS:
                self._listeners_by_sender.clear()
            if type(sender) is str:  # others compare by identity
                self._listeners_by_sender[sender] = listeners
            return listeners

    def _report(self, sender: Any, receiver: Callable[..., Any], error: BaseException) -> None:
        logger.exception(
            "Receiver %s of signal %s raised; it is ignored",
            _described(receiver),
            self.name,
            extra={"action": "receiver_failed", "signal": self.name},
        )
        if self is not receiver_failed:
            receiver_failed.send(sender, signal=self.name, receiver=receiver, err=error)


def _described(receiver: Callable[..., Any]) -> str:
    try:
        return repr(receiver)
    except BaseException:
        return f"of type {type(receiver).__qualname__}"


def _identity(receiver: Callable[..., Any]) -> Any:
    # Receivers are foreign objects: call none of their methods, and keep equal ones apart.
    if type(receiver) is MethodType:
        return id(receiver.__self__), id(receiver.__func__)
    return id(receiver)


def _listener(receiver: Callable[..., Any], references: dict[Any, Any]) -> _Listener:
    try:
        accepted = _accepted_names(getattr(receiver, "__func__", receiver))
    except BaseException:  # for example a proxy outside its context; let the call decide
        accepted = None
    reference = references.get(_identity(receiver))
    return (receiver, False, accepted) if reference is None else (reference, True, accepted)


def _accepted_names(function: Callable[..., Any]) -> frozenset[str] | None:
    """Return the names a function takes as keywords, None when it takes any."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return None
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
        return None
    by_name = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    return frozenset(parameter.name for parameter in parameters if parameter.kind in by_name)


def _replace_locks() -> None:
    for signal in list(_signals):
        signal.replace_lock()


os.register_at_fork(after_in_child=_replace_locks)

job_queued: Final = SafeNamedSignal("job_queued")
job_waiting: Final = SafeNamedSignal("job_waiting")
job_promoted: Final = SafeNamedSignal("job_promoted")
job_started: Final = SafeNamedSignal("job_started")
job_succeeded: Final = SafeNamedSignal("job_succeeded")
job_schedule_retry: Final = SafeNamedSignal("job_schedule_retry")
job_failed: Final = SafeNamedSignal("job_failed")
job_finished: Final = SafeNamedSignal("job_finished")
job_recovered: Final = SafeNamedSignal("job_recovered")
worker_lost: Final = SafeNamedSignal("worker_lost")
worker_started: Final = SafeNamedSignal("worker_started")
worker_terminated: Final = SafeNamedSignal("worker_terminated")
receiver_failed: Final = SafeNamedSignal("receiver_failed")
