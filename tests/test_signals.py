"""Signals: who hears what, and that no receiver can harm the sender."""

from __future__ import annotations

import gc
import logging
import weakref
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from spinach import signals
from spinach.signals import SafeNamedSignal


@pytest.fixture
def signal() -> SafeNamedSignal:
    return SafeNamedSignal("test")


@pytest.fixture
def failures() -> Iterator[list[dict[str, Any]]]:
    heard: list[dict[str, Any]] = []

    def hear(namespace: str, **facts: Any) -> None:
        heard.append({"namespace": namespace, **facts})

    signals.receiver_failed.connect(hear, weak=False)
    yield heard
    signals.receiver_failed.disconnect(hear)


def test_receivers_hear_their_namespace(signal: SafeNamedSignal) -> None:
    """A receiver connected for one namespace does not hear another's jobs."""
    heard: list[Any] = []

    @signal.connect_via("mine")
    def receive(namespace: str, job: int) -> None:
        heard.append((namespace, job))

    signal.send("mine", job=1)
    signal.send("other", job=2)
    assert heard == [("mine", 1)]


def test_none_hears_every_engine(signal: SafeNamedSignal) -> None:
    """A receiver connected via None hears every namespace."""
    heard: list[Any] = []

    @signal.connect_via(None)
    def receive(namespace: str, **_facts: Any) -> None:
        heard.append(namespace)

    signal.send("mine")
    signal.send("other")
    assert heard == ["mine", "other"]


def test_documented_receivers_are_not_broken_by_new_facts(signal: SafeNamedSignal) -> None:
    """A receiver gets the facts its signature takes, by whichever form it is written."""
    heard: dict[str, Any] = {}

    class Holder:
        def method(self, namespace: str, job: int) -> None:
            heard["method"] = job

        def __call__(self, namespace: str, job: int, err: str) -> None:
            heard["object"] = (job, err)

    def published(namespace: str, job: int) -> None:
        heard["published"] = job

    def alone(namespace: str) -> None:
        heard["alone"] = namespace

    def everything(namespace: str, **facts: Any) -> None:
        heard["everything"] = facts

    def defaulted(namespace: str, *, duration: float = -1, unheard: int = 5) -> None:
        heard["defaulted"] = (duration, unheard)

    holder = Holder()
    for receiver in (published, alone, everything, defaulted, holder, holder.method):
        signal.connect(receiver)
    facts = {"job": 1, "err": "e", "duration": 2.5}
    signal.send("ns", **facts)
    assert heard == {
        "published": 1,
        "alone": "ns",
        "everything": facts,
        "defaulted": (2.5, 5),
        "object": (1, "e"),
        "method": 1,
    }


def test_bound_method_of_a_slotted_receiver(signal: SafeNamedSignal) -> None:
    """A receiver that cannot be hashed is called like any other."""

    class Unhashable:
        __hash__ = None  # type: ignore[assignment]
        heard: list[int]

        def __call__(self, namespace: str, job: int) -> None:
            self.heard.append(job)

    receiver = Unhashable()
    receiver.heard = []
    signal.connect(receiver)
    signal.send("ns", job=1, duration=1.0)
    assert receiver.heard == [1]


@pytest.mark.parametrize("error", [ValueError("x"), SystemExit(3), KeyboardInterrupt(), GeneratorExit()])
def test_raising_receiver_harms_nobody(
    signal: SafeNamedSignal,
    failures: list[dict[str, Any]],
    caplog: pytest.LogCaptureFixture,
    error: BaseException,
) -> None:
    """A receiver that raises anything is logged and told of; the others are called, the sender goes on."""
    heard: list[int] = []

    def bad(namespace: str, job: int) -> None:
        raise error

    def good(namespace: str, job: int) -> str:
        heard.append(job)
        return "result"

    signal.connect(bad)
    signal.connect(good)
    with caplog.at_level(logging.ERROR):
        results = signal.send("ns", job=1)
    assert results == [(good, "result")]
    assert heard == [1]
    assert [record.action for record in caplog.records] == ["receiver_failed"]  # type: ignore[attr-defined]
    assert failures == [{"namespace": "ns", "signal": "test", "receiver": bad, "err": error}]


def test_failing_receiver_of_failures_ends_there(signal: SafeNamedSignal) -> None:
    """A receiver of `receiver_failed` that raises does not call itself again."""
    calls: list[str] = []

    def bad(namespace: str, **_facts: Any) -> None:
        calls.append(namespace)
        raise ValueError

    signals.receiver_failed.connect(bad)
    signal.connect(bad)
    signal.send("ns")
    signals.receiver_failed.disconnect(bad)
    assert calls == ["ns", "ns"]


def test_receivers_may_disconnect_while_called(signal: SafeNamedSignal) -> None:
    """A receiver that disconnects itself, or connects another, disturbs nobody."""
    heard: list[str] = []

    def once(namespace: str) -> None:
        heard.append("once")
        signal.disconnect(once)
        signal.connect(late)

    def late(namespace: str) -> None:
        heard.append("late")

    signal.connect(once)
    signal.send("ns")
    signal.send("ns")
    assert heard == ["once", "late"]


def test_who_hears_follows_every_connection(signal: SafeNamedSignal) -> None:
    """Receivers that come and go between two sends are heard, or not, from the next one on."""
    heard: list[str] = []
    early, late = (lambda _: heard.append("early")), (lambda _: heard.append("late"))
    signal.connect(early, sender="a")
    signal.send("a")
    signal.connect(late)
    signal.send("a")
    signal.disconnect(early, sender="a")
    signal.send("a")
    signal.disconnect(late)
    signal.send("a")
    assert (heard[0], sorted(heard[1:3]), heard[3:]) == ("early", ["early", "late"], ["late"])


def test_a_receiver_held_weakly_is_not_kept_alive(signal: SafeNamedSignal) -> None:
    """Neither a function nor the object of a method lives on because it was called before."""
    heard: list[str] = []

    class Listener:
        def method(self, _: str) -> None:
            heard.append("method")

    def function(_: str) -> None:
        heard.append("function")

    listener = Listener()
    signal.connect(listener.method)
    signal.connect(function)
    signal.send("a")
    gone = [weakref.ref(listener), weakref.ref(function)]
    del listener, function
    gc.collect()
    signal.send("a")
    assert [reference() for reference in gone] == [None, None]
    assert sorted(heard) == ["function", "method"]


class Hostile:
    """A receiver that raises whatever is asked of it, but not when it is called."""

    def __init__(self, heard: list[object]) -> None:
        object.__setattr__(self, "heard", heard)

    def __getattr__(self, name: str) -> object:
        raise RuntimeError(f"no {name} outside of the context")

    def __eq__(self, _other: object) -> bool:
        raise RuntimeError("not to be compared")

    __hash__ = None  # type: ignore[assignment]

    @property
    def __signature__(self) -> object:
        raise SystemExit("no signature")

    def __repr__(self) -> str:
        raise SystemExit("no name")

    def __call__(self, _sender: object, **_facts: object) -> None:
        self.heard.append("hostile")
        raise SystemExit("on purpose")


def test_receivers_are_not_examined_at_the_senders_cost(signal: SafeNamedSignal) -> None:
    """A proxy that cannot be looked at is called like any other, and costs no other receiver anything."""
    heard: list[object] = []
    hostile = Hostile(heard)

    def other(_sender: object) -> None:
        heard.append("other")

    signal.connect(hostile, weak=False)
    signal.connect(other)
    for _ in range(2):
        signal.send("a", job=1)
    assert sorted(map(str, heard)) == ["hostile", "hostile", "other", "other"]


@dataclass(frozen=True)
class Equal:
    """Receivers that are equal and not the same."""

    kind: str
    name: str = field(compare=False)
    heard: list[str] = field(compare=False)

    def __call__(self, _sender: object) -> None:
        self.heard.append(self.name)


def test_equal_receivers_are_told_apart(signal: SafeNamedSignal) -> None:
    """Each is called once; when one is gone the other is still called."""
    heard: list[str] = []
    first, second = Equal("same", "first", heard), Equal("same", "second", heard)
    signal.connect(first)
    signal.connect(second)
    signal.send("a")
    assert sorted(heard) == ["first", "second"]
    del first
    gc.collect()
    signal.send("a")
    assert heard[2:] == ["second"]


def test_any_number_and_kind_of_senders(signal: SafeNamedSignal) -> None:
    """A thousand senders leave no more than a few remembered; one that cannot be a key is heard as well."""
    heard: list[object] = []
    signal.connect(heard.append, weak=False)
    for number in range(1000):
        signal.send(f"namespace-{number}")
    for sender in (["unhashable"], 1, 1.0, None):
        signal.send(sender)
    assert heard[1000:] == [["unhashable"], 1, 1.0, None]
    assert len(signal._listeners_by_sender) <= 64


def test_nobody_listens(signal: SafeNamedSignal) -> None:
    """A signal without receivers returns nothing at once."""
    assert signal.send("ns", job=1) == []


def test_every_signal_is_documented() -> None:
    """Each signal of the module is listed in its table and exported, under its own name."""
    found = {name: value for name, value in vars(signals).items() if isinstance(value, SafeNamedSignal)}
    assert {value.name for value in found.values()} == set(found)
    assert set(signals.__all__) == {*found, "SafeNamedSignal"}
    documented = {line.split()[0] for line in str(signals.__doc__).splitlines() if line.strip()}
    assert set(found) <= documented
