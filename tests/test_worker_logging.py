"""The worker's lines and the logging of the application: neither silences nor overrides the other."""

from __future__ import annotations

import textwrap

import pytest

from tests.cli import APPLICATION, Cli

QUIET = """
logging.config.dictConfig({
    "version": 1,
    "root": {"level": "ERROR", "handlers": ["file"]},
    "handlers": {"file": {"class": "logging.FileHandler", "filename": "app.log"}},
})
"""
CONFIGURATIONS = {
    "nothing": "",
    "basicConfig": "logging.basicConfig(filename='app.log', level=logging.INFO)",
    "basicConfig with force": "logging.basicConfig(filename='app.log', force=True)",
    "dictConfig that disables loggers": QUIET,
    "dictConfig of our loggers": """
logging.config.dictConfig({
    "version": 1, "disable_existing_loggers": True,
    "loggers": {"spinach": {"level": "CRITICAL", "handlers": ["file"], "propagate": False}},
    "handlers": {"file": {"class": "logging.FileHandler", "filename": "app.log"}},
})
""",
    "fileConfig": """
open("logging.ini", "w").write('''
[loggers]
keys=root
[handlers]
keys=file
[formatters]
keys=
[logger_root]
level=WARNING
handlers=file
[handler_file]
class=FileHandler
args=("app.log",)
''')
logging.config.fileConfig("logging.ini")
""",
    "disabled up to critical": "logging.disable(logging.CRITICAL)",
    "a handler that raises": """
class Broken(logging.Handler):
    def emit(self, record):
        raise RuntimeError("broken handler")
logging.getLogger().addHandler(Broken())
""",
}


def application(configure: str, *, first: bool) -> str:
    """Return the source of an application that configures logging, first of all or after its engine."""
    lines = "import logging, logging.config\n" + configure
    body = textwrap.dedent(APPLICATION)
    return f"{lines}\n{body}" if first else f"{body}\n{lines}"


@pytest.mark.parametrize("first", [True, False], ids=["before the engine", "after it"])
@pytest.mark.parametrize("configure", CONFIGURATIONS)
def test_attempts_are_logged_whatever_the_application_configures(
    cli: Cli, configure: str, first: bool
) -> None:
    """The worker's lines stand on stderr, once each, and the application's file has what it asked for."""
    (cli.folder / "app.py").write_text(application(CONFIGURATIONS[configure], first=first))
    cli.engine.schedule("ok")
    cli.engine.schedule("fails")
    assert cli.run("worker", "app:engine", "--burst", "--no-color") == 0
    assert "stopped: 2 attempts" in cli.log
    if configure != "disabled up to critical":  # the application asked for no line at all
        assert cli.log.count("done    ") == 1
        assert cli.log.count("FAILED  ") == 1
    theirs = cli.folder / "app.log"
    if theirs.exists():
        _assert_level_is_theirs(theirs.read_text(), configure)


def _assert_level_is_theirs(text: str, configure: str) -> None:
    if configure in ("dictConfig of our loggers",):
        assert text == ""
    elif "dictConfig" in configure or configure in ("fileConfig", "basicConfig with force"):
        assert "ok in" not in text  # the root's level is higher than INFO
    elif configure == "basicConfig":
        assert "ok  in" in text


def test_records_of_the_application_are_shown_where_it_configured_nothing(cli: Cli) -> None:
    """An application that leaves logging to the worker sees its own records among the worker's lines."""
    source = textwrap.dedent(APPLICATION).replace(
        "def ok(secret=None):\n    pass", "def ok(secret=None):\n    logging.getLogger('shop').info('sold')"
    )
    (cli.folder / "app.py").write_text("import logging\n" + source)
    cli.engine.schedule("ok")
    assert cli.run("worker", "app:engine", "--burst") == 0
    assert cli.log.count("sold") == 1
