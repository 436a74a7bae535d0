"""URLs of servers: what cannot be used is said at once, without the password."""

from __future__ import annotations

import pytest

from spinach.brokers.redis.from_url import connect


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("localhost:6379", "begins with redis://, rediss://, unix://"),
        ("http://user:secret@localhost", "begins with redis://"),
        ("redis://:secret@localhost:99999", "Port out of range"),
        ("redis://:secret@localhost:port", "Port could not be cast"),
        ("redis://:secret@localhost/zero", "no number of a database"),
        ("redis://:secret@localhost?ssl_cert_reqs=none", "no option 'ssl_cert_reqs'"),
        ("redis://:secret@localhost?foo=1", "no option 'foo'"),
        ("redis://:secret@localhost?ssl_cert_reqs=none", "TLS needs rediss://"),
        ("unix:///tmp/secret.sock?port=1", "no option 'port'"),
        ("redis://:secret@localhost?health_check_interval=soon", "Invalid value for"),
        ("rediss://:secret@localhost?ssl_cert_reqs=perhaps", "perhaps"),
    ],
)  # fmt: skip
def test_what_cannot_be_used_is_an_error_of_one_line(url: str, said: str) -> None:
    """Nothing is sent, and nothing secret is shown."""
    with pytest.raises(ValueError, match=said) as told:
        connect(url, "ns")
    assert "secret" not in str(told.value)
    assert len(str(told.value).splitlines()) == 1


@pytest.mark.parametrize(
    "url",
    [
        "redis://localhost", "redis://localhost:6379/3", "redis://:secret@localhost/0?protocol=3",
        "rediss://localhost?ssl_cert_reqs=none", "unix:///tmp/server.sock?db=2",
        "redis://localhost?health_check_interval=10&client_name=me",
    ],
)  # fmt: skip
def test_options_of_redis_py_are_taken(url: str) -> None:
    """A URL that redis-py understands is used as it is."""
    connect(url, "ns").stop()
