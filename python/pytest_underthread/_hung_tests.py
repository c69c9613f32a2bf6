"""The plugin of a run that has limits: each phase of each test is watched over, and what is found is in its report."""

import asyncio
import functools
import inspect
import os

import _pytest
import pluggy
import pytest

from pytest_underthread import read_seconds
from pytest_underthread import _watcher

# That of the environment comes first: who has set it wants something else done about deadlocks.
_DEADLOCK = "UNDERTHREAD_DEADLOCK"


class HangTimeout(pytest.fail.Exception):
    """What is raised in a test that hangs: no Exception, so that `except Exception` does not catch it, and one that
    pytest's fixtures and clean-ups treat as a failed test."""


# As pytest's own is shown.
HangTimeout.__module__, HangTimeout.__qualname__ = "builtins", "Failed"

_PYTEST = tuple(os.path.dirname(os.path.abspath(each.__file__)) + os.sep for each in (_pytest, pluggy))
_RUNNER = os.path.join(os.path.dirname(os.path.abspath(_pytest.__file__)), "runner.py")
_HOOKS = {"pytest_runtest_setup", "pytest_runtest_call", "pytest_runtest_teardown"}


def _of_the_test(frames):
    """Of the frames of a stack, innermost first, those that are not pytest's on the way to the test."""
    end = next((at for at, (file, _, name) in enumerate(frames) if file == _RUNNER and name in _HOOKS), None)
    if end is None:
        return frames
    while end > 0 and frames[end - 1][0].startswith(_PYTEST):
        end -= 1
    return frames[:end] or frames


def _seconds_of(item, default):
    """What is said for a test. Fails it where that is wrong."""
    marker = item.get_closest_marker("hang_timeout")
    if marker is None:
        return default
    try:
        return _read_marker(*marker.args, **marker.kwargs)
    except TypeError:
        given = [repr(each) for each in marker.args]
        given += ["{}={!r}".format(*each) for each in marker.kwargs.items()]
        wrong = "takes one number of seconds, not ({})".format(", ".join(given))
    except ValueError as error:
        wrong = str(error)
    pytest.fail("{}: the marker hang_timeout {}".format(item.nodeid, wrong), pytrace=False)


def _read_marker(seconds):
    return read_seconds(seconds)


class HungTests:
    def __init__(self, config, seconds):
        self._config = config
        self._seconds = seconds  # of tests without a marker
        self._limit = 0  # of this test: seconds; 0: none
        self._watcher = _watcher.watcher()
        self._watcher.open()
        self._phase = self._item = None
        self._put_back = None  # undoes what was put in front of an async test
        self._earlier = set()  # threads that were there before the test
        self._kept = set()  # threads that a fixture has started which outlives the test

    def pytest_unconfigure(self):
        self._watcher.close()

    # The three phases. Innermost of the wrappers, so that nothing is raised in those of other plugins.

    @pytest.hookimpl(hookwrapper=True, trylast=True)
    def pytest_runtest_setup(self, item):
        if _DEADLOCK not in os.environ:
            self._watcher.mind_deadlocks(True)
        self._earlier = self._watcher.threads_now()
        self._kept = set()
        self._limit = self._seconds
        self._limit = _seconds_of(item, self._seconds)
        try:
            self._begin(item, "setup")
            yield
        finally:
            self._end()

    @pytest.hookimpl(hookwrapper=True, trylast=True)
    def pytest_runtest_call(self, item):
        try:
            self._begin(item, "call")
            yield
        finally:
            self._end()

    @pytest.hookimpl(hookwrapper=True, trylast=True)
    def pytest_runtest_teardown(self, item):
        try:
            self._begin(item, "teardown")
            yield
        finally:
            self._end()

    def _begin(self, item, when):
        limit = 0 if _watcher.is_traced_by_a_debugger() else self._limit
        phase = _watcher.Phase(
            "{} ({})".format(item.nodeid, when), limit, HangTimeout, self._earlier, _of_the_test, self._tell_captured
        )
        self._phase, self._item = phase, item
        if when == "call":
            self._put_in_front(item, phase)
        self._watcher.begin(phase)

    def _end(self):
        """Nothing comes from the phase after this; what it has raised by then is in its `failures`."""
        phase = self._phase
        try:
            if phase is not None:
                self._watcher.end(phase)
        except HangTimeout:
            self._watcher.end(phase)
        put_back, self._put_back = self._put_back, None
        if put_back is not None:
            put_back()

    @pytest.hookimpl(hookwrapper=True, tryfirst=True)
    def pytest_fixture_setup(self, fixturedef):
        if fixturedef.scope == "function":
            yield
            return
        before = self._watcher.threads_now()
        yield
        self._kept |= self._watcher.threads_now() - before

    def pytest_enter_pdb(self):
        if self._phase is not None:
            self._watcher.suspend(self._phase)

    # Tests that are coroutines. What is raised in a loop that waits leaves the loop, and the test's task stays in it;
    # so the task is cancelled, and its cancellation becomes the failure.

    def _put_in_front(self, item, phase):
        function = getattr(item, "obj", None)
        if not inspect.iscoroutinefunction(function):
            return
        limited = self._limited(function, phase)
        test_case = getattr(function, "__self__", None)
        name = getattr(test_case, "_testMethodName", None)
        if name is None:
            item.obj = limited

            def put_back():
                item.obj = function

        else:
            # unittest looks there.
            setattr(test_case, name, limited)

            def put_back():
                vars(test_case).pop(name, None)

        self._put_back = put_back

    def _limited(self, function, phase):
        @functools.wraps(function)
        async def limited(*args, **kwargs):
            try:
                loop, task = asyncio.get_running_loop(), asyncio.current_task()
            except RuntimeError:
                loop = task = None  # a loop that is not asyncio's
            if task is None:
                return await function(*args, **kwargs)

            is_inside, is_cancelled = True, False

            def cancel_it(heard):
                # The task may do other things when the test has ended: all tests of a loop may be in one.
                nonlocal is_cancelled
                if is_inside and self._watcher.may_cancel(phase, heard):
                    is_cancelled = True
                    task.cancel()

            def cancel(heard):
                try:
                    loop.call_soon_threadsafe(cancel_it, heard)
                except RuntimeError:
                    return False  # it is closed
                return True

            phase.cancel = cancel
            try:
                return await function(*args, **kwargs)
            except asyncio.CancelledError as error:
                failure = phase.cancelled_by
                if failure is None or not is_cancelled:
                    raise
                raise failure.with_traceback(error.__traceback__) from None
            finally:
                phase.cancel = None
                is_inside = False
                if is_cancelled and hasattr(task, "uncancel"):
                    task.uncancel()

        return limited

    # Reports.

    @pytest.hookimpl(hookwrapper=True, tryfirst=True)
    def pytest_runtest_makereport(self, item, call):
        phase = self._phase if self._item is item else None
        ended = None
        if phase is not None:
            # Where its end was itself interrupted.
            self._end()
            self._phase = None
            if phase.failures:
                ended = _make_it_fail(item, call, phase.failures)
        outcome = yield
        report = outcome.get_result()
        if phase is not None and report.failed:
            _add(report, "{}: deadlocks that were found".format(call.when), "\n".join(phase.notes))
        if phase is not None and phase.failures:
            _add(report, "{}: how it ended after that".format(call.when), ended)
            _add(report, "{}: what all threads did".format(call.when), phase.dump)
        if call.when == "teardown":
            left = self._watcher.threads_text(self._watcher.threads_now() - self._earlier - self._kept)
            _add(report, "threads that the test has left behind, after teardown", left)

    def _tell_captured(self, tell):
        capture = self._config.pluginmanager.getplugin("capturemanager")
        if capture is None or not capture.is_globally_capturing():
            return
        capture.suspend_global_capture(in_=True)
        for name, text in zip(("stdout", "stderr"), capture.read_global_capture()):
            if text:
                tell("\n--- captured {}\n{}".format(name, text))


def _add(report, title, text):
    if text:
        report.sections.append((title, text))


def _make_it_fail(item, call, failures):
    """Has the report be made of what was raised for the limit, whatever the test has made of it. Returns how it ended,
    if otherwise."""
    # unittest's cases collect what their tests raised, and that goes into the report then.
    collected = getattr(item, "_excinfo", None)
    excinfo = collected[0] if collected else call.excinfo
    if excinfo is not None and _is_among(excinfo.value, failures):
        return None
    ours = _as_raised(failures)
    if collected:
        collected[0] = ours
    else:
        call.excinfo = ours
    if excinfo is None:
        return "as if nothing had been raised in it"
    return "by {}".format(excinfo.exconly())


def _is_among(error, failures):
    return error in failures or any(_is_among(each, failures) for each in getattr(error, "exceptions", ()))


def _as_raised(failures):
    failure = next((each for each in failures if each.__traceback__ is not None), failures[0])
    if failure.__traceback__ is None:
        # It came where exceptions are lost, or a task was cancelled that has caught that.
        failure.pytrace = False
        try:
            raise failure
        except HangTimeout:
            pass
    return pytest.ExceptionInfo.from_exc_info((type(failure), failure, failure.__traceback__))
