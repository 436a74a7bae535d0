"""Serving: what is answered to whom, and that bad clients cost nobody else anything."""

from __future__ import annotations

import contextlib
import gzip
import json
import os
import resource
import signal
import socket
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest

from spinach import Engine
from spinach_ops import instrument, serve
from spinach_ops.web.addresses import CannotListen, parse_ports
from spinach_ops.web.http import HttpServer, Request, Response, gzip_accepted
from tests.metrics.conftest import MakeEngine
from tests.prometheus import check_page, fetch
from tests.waiting import wait_until


@pytest.fixture
def server(engine: Engine) -> Iterator[HttpServer]:
    server = serve(engine, port=0)
    yield server
    server.close()


def status_of(url: str, **options: str) -> int:
    try:
        with urllib.request.urlopen(urllib.request.Request(url, **options), timeout=10) as reply:  # type: ignore[arg-type]
            return int(reply.status)
    except urllib.error.HTTPError as error:
        return error.code


def test_the_page_of_a_worker_passes_promtool(engine: Engine, server: HttpServer) -> None:
    """Both families, in the classic text format, without a complaint."""
    engine.task(lambda: None, name="task", max_retries=1, max_concurrency=1)
    engine.start_workers(2, block=False)
    engine.schedule("task")
    page = fetch(f"{server.url}/metrics")
    assert "spinach_jobs_started_total{" in page
    assert "spinach_queue_depth{" in page
    check_page(page)


def test_formats_compression_and_choice_of_names(server: HttpServer) -> None:
    """OpenMetrics where it is accepted, gzip where it is, one family where it is asked for by name."""
    openmetrics = fetch(f"{server.url}/metrics", Accept="application/openmetrics-text; version=1.0.0")
    assert openmetrics.endswith("# EOF\n")
    request = urllib.request.Request(f"{server.url}/metrics", headers={"Accept-Encoding": "gzip"})
    with urllib.request.urlopen(request, timeout=10) as reply:
        assert reply.headers["Content-Encoding"] == "gzip"
        assert b"spinach_redis_up" in gzip.decompress(reply.read())
    chosen = fetch(f"{server.url}/metrics?name[]=spinach_redis_up&name[]=spinach_build_info")
    names = {line.split("{")[0] for line in chosen.splitlines() if not line.startswith("#")}
    assert names == {"spinach_redis_up", "spinach_build_info"}


def test_health_follows_the_workers(engine: Engine, server: HttpServer) -> None:
    """Not ready before the start, ready while they run, not ready after; alive all the time."""
    codes = []
    for step in (lambda: None, lambda: engine.start_workers(1, block=False), engine.stop_workers):
        step()
        codes.append((status_of(f"{server.url}/readyz"), status_of(f"{server.url}/healthz")))
    assert codes == [(503, 200), (200, 200), (503, 200)]
    assert json.loads(fetch(f"{server.url}/healthz"))["status"] == "ok"


def test_only_reading_is_served(server: HttpServer) -> None:
    """Other methods and paths are refused; HEAD answers without a body."""
    assert status_of(f"{server.url}/metrics", method="POST") == 405
    assert status_of(f"{server.url}/metrics", method="DELETE") == 405
    assert status_of(f"{server.url}/etc/passwd") == 404
    request = urllib.request.Request(f"{server.url}/healthz", method="HEAD")
    with urllib.request.urlopen(request, timeout=10) as reply:
        assert (reply.status, reply.read()) == (200, b"")


def test_a_port_that_is_taken_is_said_and_a_range_takes_the_next(make_engine: MakeEngine) -> None:
    """A taken port is an error that names it and the way out; of a range the first free one is taken."""
    first = serve(make_engine(), port=0)
    with pytest.raises(CannotListen, match=rf"port {first.port}: taken.*range"):
        serve(make_engine(), port=first.port)
    second = serve(make_engine(), port=f"{first.port}-{first.port + 20}")
    assert first.port < second.port <= first.port + 20
    first.close()
    second.close()


def test_a_number_alone_is_the_port(engine: Engine) -> None:
    """`serve(engine, 9850)` means what it seems to."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    server = serve(engine, port)
    assert (server.host, server.port) == ("127.0.0.1", port)
    server.close()


@pytest.mark.parametrize("text", ["", "x", "-1", "99999", "5-", "9-5", "1-2-3", "²"])
def test_what_is_no_port_is_an_error(text: str) -> None:
    """The message says what was given and what is expected."""
    with pytest.raises(ValueError, match="expected a number up to 65535"):
        parse_ports(text)


def test_the_address_stands_in_the_workers_record(engine: Engine, server: HttpServer) -> None:
    """Whoever reads the registry finds the metrics of each worker."""
    engine.start_workers(1, block=False)
    (record,) = engine.broker.get_all_brokers()
    assert record["metrics_url"] == f"{server.url}/metrics"


def connect(server: HttpServer, sent: bytes = b"") -> socket.socket:
    client = socket.create_connection(("127.0.0.1", server.port), timeout=10)
    client.sendall(sent)
    return client


def test_clients_that_hang_do_not_keep_others_out(server: HttpServer) -> None:
    """With fifty connections that send half a request and wait, the next scrape is served."""
    with contextlib.ExitStack() as open_ones:
        for _ in range(50):
            open_ones.enter_context(contextlib.closing(connect(server, b"GET /metrics HTT")))
        assert status_of(f"{server.url}/metrics") == 200


@pytest.mark.parametrize(
    "sent",
    [
        b"GET /metrics?" + b"x" * 100_000 + b" HTTP/1.1\r\n\r\n",
        b"GET /metrics HTTP/1.1\r\n" + b"A: b\r\n" * 1000 + b"\r\n",
        b"\x00\xff\xfe\r\n\r\n",
        b"GET /metrics?" + b"a=b&" * 1000 + b" HTTP/1.0\r\n\r\n",
        b"GET http://[::1/metrics HTTP/1.0\r\n\r\n",
    ],
    ids=["long line", "many headers", "no request", "many fields", "odd address"],
)
def test_requests_that_are_none_are_refused(server: HttpServer, sent: bytes) -> None:
    """Whatever a client sends, it gets an error or is cut off, and the next one is served."""
    with contextlib.closing(connect(server)) as client:
        answer = b""
        with contextlib.suppress(ConnectionError):
            client.sendall(sent)
            while part := client.recv(65536):
                answer += part
        assert b" 200 " not in answer[:20]
    assert status_of(f"{server.url}/healthz") == 200


def test_no_more_than_two_pages_are_rendered_at_once() -> None:
    """A third scrape that comes meanwhile is told to come again."""
    from prometheus_client import CollectorRegistry

    from spinach_ops.web.scrape import scrape_route

    release, begun = threading.Event(), threading.Semaphore(0)

    class Slow:
        def describe(self) -> list[object]:
            return []

        def collect(self) -> list[object]:
            begun.release()
            assert release.wait(30)
            return []

    registry = CollectorRegistry()
    registry.register(Slow())  # type: ignore[arg-type]
    route = scrape_route(registry)
    answers: list[Response] = []
    threads = [threading.Thread(target=lambda: answers.append(route(Request("/metrics")))) for _ in range(2)]
    for thread in threads:
        thread.start()
        assert begun.acquire(timeout=30)
    assert route(Request("/metrics")).status == 503
    release.set()
    for thread in threads:
        thread.join()
    assert [answer.status for answer in answers] == [200, 200]
    assert route(Request("/metrics")).status == 200


def test_a_closed_server_leaves_no_thread(engine: Engine) -> None:
    """Its thread ends, the port is free again, and its address is announced no more."""
    server = serve(engine, port=0)
    assert engine._hooks.announced == {"metrics_url": f"{server.url}/metrics"}
    name = f"{engine.namespace}-http"
    assert name in {thread.name for thread in threading.enumerate()}
    server.close()
    wait_until(lambda: name not in {thread.name for thread in threading.enumerate()})
    assert engine._hooks.announced == {}
    server.close()
    serve(engine, port=server.port).close()


def test_an_open_address_is_warned_about(engine: Engine, caplog: pytest.LogCaptureFixture) -> None:
    """Whatever is not loopback can be read by all: the log says so."""
    serve(engine, host="0.0.0.0", port=0).close()
    assert [record for record in caplog.records if getattr(record, "action", "") == "serving_openly"]


def test_a_forked_child_lets_go_of_the_port(engine: Engine) -> None:
    """A child keeps no port of its parent's, can close what it inherited, and reads the namespace itself."""
    server = serve(engine, port=0)
    registry = instrument(engine).registry
    labels = {"spinach_namespace": engine.namespace}
    assert registry.get_sample_value("spinach_redis_up", labels) == 1
    read_end, write_end = os.pipe()
    child = os.fork()
    if not child:  # pragma: no cover - another process
        with contextlib.suppress(BaseException):
            server.close()
            up = registry.get_sample_value("spinach_redis_up", labels)
            os.write(write_end, b"well" if up == 1 else b"blind")
            time.sleep(30)  # until it is killed
        os._exit(1)
    os.close(write_end)
    try:
        assert os.read(read_end, 10) == b"well"
        server.close()
        serve(engine, port=server.port).close()
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        os.close(read_end)


def test_without_file_descriptors_nothing_spins(engine: Engine) -> None:
    """While connections cannot be accepted the server waits; afterwards it serves again."""
    server = serve(engine, port=0)
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    waiting = socket.socket()
    used = max(map(int, os.listdir("/proc/self/fd")))
    resource.setrlimit(resource.RLIMIT_NOFILE, (used, limits[1]))
    try:
        waiting.connect(("127.0.0.1", server.port))
        before = time.process_time()
        threading.Event().wait(1)
        assert time.process_time() - before < 0.5
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        waiting.close()
    assert status_of(f"{server.url}/healthz") == 200
    server.close()


@pytest.mark.parametrize(
    ("header", "accepted"),
    [("gzip", True), ("deflate, GZIP;q=0.5", True), ("gzip;q=0", False), ("br", False), ("", False)],
)
def test_gzip_only_for_whoever_takes_it(header: str, accepted: bool) -> None:
    """A weight of 0 is a refusal."""
    assert gzip_accepted(header) is accepted


def test_a_host_that_is_none_is_an_error(engine: Engine) -> None:
    """Whatever stands for the host, it is said to be no address of this machine."""
    for host in ("ä" * 80, "\u2028", "203.0.113.1"):
        with pytest.raises(CannotListen, match="cannot listen on"):
            serve(engine, host=host, port=0)
