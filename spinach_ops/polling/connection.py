"""How it stands with the server: LIVE, SLOW or LOST, since when, why, and when the next try is due. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final, Literal

State = Literal["connecting", "live", "slow", "lost"]

_BACKOFF_SECONDS: Final = (1.0, 2.0, 4.0, 8.0, 10.0)
# Of a pause, so that many who wait for one server do not come back at once.
_JITTER: Final = 0.2


# What a person on call reads first; the first that is found in a reason.
_WORDS: Final = (
    ("password needed", ("noauth", "authentication required")),
    (
        "wrong password",
        ("wrongpass", "invalid password", "invalid username-password", "user name or password"),
    ),
    ("not permitted", ("noperm", "not permitted", "not permit")),
    ("connection refused", ("connection refused", "connect call failed")),
    ("name not found", ("name or service not known", "name resolution", "getaddrinfo",
        "nodename nor servname",
                        "no address associated")),
    ("timeout", ("timed out", "timeout")),
    ("connection closed", ("connection closed", "reset by peer", "broken pipe")),
    ("no route", ("no route to host", "unreachable")),
    ("server is loading", ("loading",)),
    ("TLS failed", ("certificate", "ssl")),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Connection:
    """The state after the last look; times are of one monotonic clock, in seconds.

    Attributes:
        failures: Looks that failed since the last one that did not.
        lost_since: When the first of them failed.
        retry_at: When the next try is due.
        reason: What went wrong, for a person.
        looking_since: When the look that is under way began.
        ever_live: Whether any look succeeded.
        came_back: Whether the last look was the first after a loss.
    """

    failures: int = 0
    lost_since: float | None = None
    retry_at: float | None = None
    reason: str = ""
    looking_since: float | None = None
    ever_live: bool = False
    came_back: bool = False

    def began(self, now: float) -> Connection:
        """Return the state when a look begins."""
        return replace(self, looking_since=now)

    def succeeded(self) -> Connection:
        """Return the state after a look."""
        return Connection(ever_live=True, came_back=self.failures > 0 and self.ever_live)

    def failed(self, now: float, reason: str, *, jitter: float = 0.0) -> Connection:
        """Return the state after a look that failed.

        Args:
            now: When.
            reason: What went wrong.
            jitter: -1 to 1, by which the pause is stretched.
        """
        pause = _BACKOFF_SECONDS[min(self.failures, len(_BACKOFF_SECONDS) - 1)]
        return replace(
            self,
            failures=self.failures + 1,
            lost_since=now if self.lost_since is None else self.lost_since,
            retry_at=now + pause * (1 + _JITTER * jitter),
            reason=reason,
            looking_since=None,
            came_back=False,
        )

    @property
    def why(self) -> str:
        """What went wrong in two or three words, empty where the reason holds none that is known."""
        reason = self.reason.lower()
        return next((words for words, signs in _WORDS if any(sign in reason for sign in signs)), "")

    def state(self, now: float, interval_seconds: float) -> State:
        """Return the state in a word: slow is a look that takes longer than the time between two."""
        if self.failures:
            return "lost"
        if self.looking_since is not None and now - self.looking_since > max(0.5, interval_seconds):
            return "slow"
        return "live" if self.ever_live else "connecting"
