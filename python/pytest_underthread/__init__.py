"""A pytest plugin: a test that hangs fails alone, with a dump of all threads, and the rest of the run goes on.

``--hang-timeout SECONDS``, ``hang_timeout = SECONDS`` in the configuration file, and
``@pytest.mark.hang_timeout(SECONDS)``. Where none of them is used this module is all that is loaded: it is a package
of its own because ``import underthread`` loads the extension.

PYTEST_DONT_REWRITE: there are no assertions here.
"""

import math

import pytest

MARKER = (
    "hang_timeout(seconds): the setup, the call and the teardown of this test may each take so many seconds; 0: as long "
    "as they like. A test that hangs fails, with a dump of all threads (underthread)."
)


class _Asked:
    """What a run has asked for."""

    def __init__(self, seconds, where):
        self.seconds = seconds  # for tests without a marker; None: only markers ask; 0: nobody gets a limit
        self.where = where
        self.why_not = None  # why underthread cannot be active


def read_seconds(value):
    """Seconds, from a number or its text. @raises ValueError"""
    try:
        seconds = None if isinstance(value, bool) else float(value)
    except (TypeError, ValueError, OverflowError):
        seconds = None
    if seconds is None or not math.isfinite(seconds) or seconds < 0:
        raise ValueError("takes a number of seconds, or 0 for no limit; not {!r}".format(value))
    return seconds


def pytest_addoption(parser):
    group = parser.getgroup("underthread", "a test that hangs fails alone (underthread)")
    group.addoption(
        "--hang-timeout",
        metavar="SECONDS",
        help="the setup, the call and the teardown of each test may each take so many seconds. One that takes longer, or "
        "is in a deadlock, fails with a dump of all threads: what each waits for, and who holds it. The rest of the run "
        "goes on. 0: no limits, whatever the configuration file and markers say",
    )
    parser.addini("hang_timeout", "what --hang-timeout is if it is not given; 0: no limits, for markers neither")


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests(early_config):
    # Before the program's modules are imported: what they make is then underthread's.
    _begin(early_config)


def pytest_configure(config):
    config.addinivalue_line("markers", MARKER)
    asked = _begin(config)
    if asked.seconds:
        _watch_over(config)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config, items):
    asked = config._hang_timeout
    if asked.seconds is None and any(item.get_closest_marker("hang_timeout") for item in items):
        asked.where = "the marker hang_timeout"
        _install(config, asked)
        _watch_over(config)


def pytest_report_header(config):
    asked = config._hang_timeout
    if not asked.seconds:
        return None
    if asked.why_not:
        return "hang_timeout: off, a test that hangs will hang the run: {}".format(asked.why_not)
    return "hang_timeout: {:g} s for setup, call and teardown each{}".format(asked.seconds, _beside_another(config, asked))


def _begin(config):
    asked = getattr(config, "_hang_timeout", None)
    if asked is None:
        asked = config._hang_timeout = _read(config)
        if asked.seconds:
            _install(config, asked)
    return asked


def _read(config):
    for where, value in (
        # Not parsed for good while conftest files are still to be loaded.
        ("--hang-timeout", getattr(config.known_args_namespace, "hang_timeout", None)),
        ("hang_timeout in the configuration file", config.getini("hang_timeout") or None),
    ):
        if value is not None:
            try:
                return _Asked(read_seconds(value), where)
            except ValueError as error:
                raise pytest.UsageError("{} {}".format(where, error))
    return _Asked(None, None)


def _install(config, asked):
    import underthread
    from underthread import _install

    if not underthread.is_active() and not _install.obstacle:
        underthread.install()
    if not underthread.is_active():
        asked.why_not = _install.why_inactive()
        if asked.where == "--hang-timeout":
            raise pytest.UsageError("--hang-timeout: {}".format(asked.why_not))
        config.issue_config_time_warning(
            pytest.PytestConfigWarning("{} is without effect: {}".format(asked.where, asked.why_not)), stacklevel=2
        )


def _watch_over(config):
    asked = config._hang_timeout
    if not asked.why_not:
        from pytest_underthread._hung_tests import HungTests

        config.pluginmanager.register(HungTests(config, asked.seconds or 0), "pytest_underthread.hung_tests")


def _beside_another(config, asked):
    """What to say about pytest-timeout; "": it has no limit in this run."""
    theirs = getattr(config, "_env_timeout", None)  # where it keeps it
    if not theirs:
        return ""
    first = "that limit" if theirs <= asked.seconds else "hang_timeout"
    return "; pytest-timeout has {:g} s for a whole test: {} is over first, and ends it".format(theirs, first)
