"""The keys of spinach-top, in one list that the app, its help, its palette and the documentation share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Key:
    """One thing that can be done.

    Attributes:
        keys: As Textual names them, separated by commas.
        shown: As a person would write them.
        action: Of the app.
        label: In the bar at the bottom, one word.
        help: What it does.
        bar: Place in the bar at the bottom, 0 for none.
    """

    keys: str
    shown: str
    action: str
    label: str
    help: str
    bar: int = 0


KEYS: Final = (
    Key("1", "1", "go('queues')", "Queues", "all queues: depth, age, rates, when they are empty"),
    Key("2", "2", "go('workers')", "Workers", "workers, heartbeats, who is gone"),
    Key("3", "3", "go('jobs')", "Jobs", "jobs of the selected queue or worker, else all that run"),
    Key("4", "4", "go('scheduled')", "Scheduled", "jobs that wait for their date, retries among them"),
    Key("5", "5", "go('periodic')", "Periodic", "periodic tasks and how late they are"),
    Key("6", "6", "go('limits')", "Limits", "limits of tasks, slots taken, slots that leaked"),
    Key("7", "7", "go('failures')", "Failures", "what fails, by task and type of error"),
    Key("8", "8", "go('tasks')", "Tasks", "attempts of each task and how they end"),
    Key("enter,i", "enter i", "open", "Open", "open the row: its jobs, or the job itself", 8),
    Key("escape", "esc", "leave", "Back", "back; ends a filter first; never quits"),
    Key("up,k", "↑ k", "move(-1)", "Up", "a row up"),
    Key("down,j", "↓ j", "move(1)", "Down", "a row down"),
    Key("pageup", "PgUp", "page(-1)", "Page up", "a page up"),
    Key("pagedown", "PgDn", "page(1)", "Page down", "a page down"),
    Key("g,home", "g Home", "edge(-1)", "First", "first row"),
    Key("G,end", "G End", "edge(1)", "Last", "last row"),
    Key("slash", "/", "filter", "Filter", "filter: text !text /regex/ depth>100 oldest>5m state=silent", 3),
    Key("s", "s", "sort", "Sort", "sort by another column", 5),
    Key("S", "S", "invert", "Invert", "turn the order round"),
    Key("space", "space", "freeze", "Freeze", "freeze what is shown; polling goes on", 4),
    Key("plus,equals_sign", "+", "interval(1)", "Slower", "longer between two polls: 1 2 5 10 30 60 s"),
    Key("minus", "-", "interval(-1)", "Faster", "shorter between two polls"),
    Key("ctrl+r", "^r", "poll", "Poll now", "poll now, also while the server is lost"),
    Key("e", "e", "go('explain')", "Explain", "what is wrong, with evidence and what to do", 6),
    Key("n", "n", "namespace", "Namespace", "choose another namespace, keeping the screen", 7),
    Key("v", "v", "view", "View", "of a queue's jobs: the first or the last"),
    Key("a", "a", "arguments", "Arguments", "show or hide the arguments of jobs, hidden at first"),
    Key("y", "y", "copy", "Copy", "copy the row's id or name (OSC 52)", 9),
    Key("question_mark", "?", "help", "Help", "this help", 2),
    Key("q", "q", "quit", "Quit", "quit; ctrl+c too, with exit code 130", 1),
)

INTERVALS: Final = (1.0, 2.0, 5.0, 10.0, 30.0, 60.0)


def next_interval(seconds: float, step: int) -> float:
    """Return the interval after or before one."""
    if step > 0:
        return next((one for one in INTERVALS if one > seconds), INTERVALS[-1])
    return next((one for one in reversed(INTERVALS) if one < seconds), INTERVALS[0])


def bar() -> list[Key]:
    """Return the keys of the bar at the bottom, in order."""
    return sorted((key for key in KEYS if key.bar), key=lambda key: key.bar)
