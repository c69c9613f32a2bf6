"""Watches over phases of tests, from a thread of its own.

It has to be a thread, and another one than that which hangs: the dump is made while that one still waits, and something
has to act where it never comes back. The thread exists from the first limit to the end of the run. `threading` does
not know it, it sleeps until a limit is over, and it ends before a fork, so that the child and CPython's warning about
forks see only the program's own threads.
"""

import _thread
import os
import sys
import time

import underthread
from underthread import _inspect
from underthread._deadlock import DeadlockError

_core = underthread._core._underthread

NEVER = float("inf")

# Seconds that a phase has to end after an exception was raised in it, before the next.
GRACE = 5.0
# So many exceptions, and then the run ends.
MOST_FAILURES = 3
# Seconds that an event loop has to take a call.
LOOP_PATIENCE = 0.25

_LONGEST_SLEEP = 3600.0
_MOST_NOTES = 10

_DEBUGGERS = {"bdb", "pdb", "ipdb", "pudb", "debugpy"}


def is_debugger(module):
    """By a module's name."""
    return any(part in _DEBUGGERS or part.startswith(("pydevd", "_pydevd")) for part in str(module).split("."))


def traces_for_a_debugger(function):
    owner = getattr(function, "__self__", function)
    return any(
        is_debugger(getattr(each, "__module__", "")) for each in (function, *type(owner).__mro__) if function is not None
    )


def is_traced_by_a_debugger():
    """Whether this thread is."""
    return traces_for_a_debugger(sys.gettrace())


def stack_of(frame):
    """Its frames, the innermost first."""
    frames = []
    while frame is not None:
        frames.append(frame)
        frame = frame.f_back
    return frames


def is_debugged(phase):
    """Whether somebody looks at that thread with a debugger."""
    monitoring = getattr(sys, "monitoring", None)
    if monitoring is not None and monitoring.get_tool(monitoring.DEBUGGER_ID) is not None:
        return True
    stack = stack_of(sys._current_frames().get(phase.ident))
    # pdb leaves its function in the outermost frame when it has been told to continue.
    inside = stack[: len(stack) - phase.depth]
    return any(is_debugger(frame.f_globals.get("__name__", "")) for frame in stack) or any(
        traces_for_a_debugger(frame.f_trace) for frame in inside
    )


def _is_timekeeper(thread):
    return thread[2] == "underthread" and _inspect.python_thread(thread[0]) is None


class Phase:
    """What must not take longer than its time, in the thread that makes this."""

    def __init__(self, what, seconds, make_failure, earlier, shown, tell_more):
        self.what = what
        self.seconds = seconds  # 0: it has no limit
        self.make_failure = make_failure  # an exception, from its text
        self.earlier = earlier  # threads that are not the phase's own: what threads_now() gave
        self.shown = shown  # of all frames of a stack, those that a dump has
        self.tell_more = tell_more  # writes, by a function that it is given, what else is to be told before the run ends
        self.ident = _thread.get_ident()
        # How many frames were there before the phase: not this one, its caller, and the hook of pytest's that calls that.
        self.depth = len(stack_of(sys._getframe())) - 3
        # Guarded by the watcher's lock.
        self.is_over = False
        self.acts_at = NEVER
        self.failures = []  # what was raised in it, or is to be
        self.cancelled_by = None  # the failure for which the task is to be cancelled, or has been
        # Set by one thread, once, before anybody reads it.
        self.dump = None
        self.notes = []  # deadlocks that are none of ours, or may still end
        self.cancel = None  # asks the event loop that the phase runs in to cancel the task; whether it could be asked

    def has_begun_to_raise(self, failure):
        return failure.__traceback__ is not None or self.cancelled_by is failure


class Watcher:
    def __init__(self, clock=time.monotonic):
        # Programs replace time.monotonic in modules, but not what is kept elsewhere.
        self._clock = clock
        self._reset()
        self._before = None  # the deadlock handler that was there
        self._stderr = None
        os.register_at_fork(
            before=self._before_fork, after_in_parent=self._after_in_parent, after_in_child=self._after_in_child
        )

    def _reset(self):
        self._lock = _thread.allocate_lock()
        self._bell = _thread.allocate_lock()  # released to have the watcher look; it holds it otherwise
        self._bell.acquire()
        self._phases = []
        self._is_running = False
        self._is_to_stop = False
        self._forks = 0
        self._wakes_at = NEVER
        self._last_limit = 0
        self.ident = self._native_id = None

    # What those who run tests call.

    def open(self):
        """A run begins: the stderr that is there now is where its end would be told."""
        if self._stderr is None:
            try:
                self._stderr = os.dup(2)
            except OSError:
                pass  # it is closed

    def close(self):
        with self._lock:
            is_in_use = bool(self._phases)
        # A run inside of a test of another run.
        if is_in_use:
            return
        self._stop()
        self.mind_deadlocks(False)
        if self._stderr is not None:
            os.close(self._stderr)
            self._stderr = None

    def mind_deadlocks(self, on):
        """Deadlocks are ours to tell, whoever has told of them in between."""
        if on:
            before = _core.set_deadlock_handler(self._on_deadlock)
            if self._before is None:
                self._before = (before,)
        elif self._before is not None:
            _core.set_deadlock_handler(*self._before)
            self._before = None

    def begin(self, phase):
        with underthread.hold_interrupts():
            with self._lock:
                if phase.seconds:
                    phase.acts_at = self._clock() + phase.seconds
                    self._last_limit = phase.seconds
                self._phases.append(phase)
                self._see_to(phase)

    def end(self, phase):
        """Nothing is raised for it once this has returned; this may raise what was sent before."""
        with underthread.hold_interrupts():
            with self._lock:
                phase.is_over = True
                if phase in self._phases:
                    self._phases.remove(phase)

    def suspend(self, phase):
        """It has no limit any more."""
        with underthread.hold_interrupts():
            with self._lock:
                phase.acts_at = NEVER

    def _snapshot(self):
        """The program's threads, locks and deadlocks: without this one, and the one that looks after `time_limit`."""
        threads, *rest = _core.snapshot()
        return ([each for each in threads if each[0] != self.ident and not _is_timekeeper(each)], *rest)

    def threads_now(self):
        return {(each[0], each[1]) for each in self._snapshot()[0]}

    def threads_text(self, wanted):
        """What those of `wanted` that are alive do, a paragraph each; ""."""
        if not wanted:
            return ""
        threads = self._snapshot()[0]
        names = {each[0]: _inspect.thread_name(each) for each in threads}
        stacks = sys._current_frames()
        lines = []
        for each in threads:
            if (each[0], each[1]) in wanted:
                lines.append("{} {}".format(_inspect.thread_text(each), _inspect.wait_text(each, names)))
                place = _inspect.place_text(stacks.get(each[0]))
                if place:
                    lines.append("  at {}".format(place))
        return "\n".join(lines)

    # The thread.

    def _see_to(self, phase):
        """With the lock: the thread runs, and will look when the phase's time is over."""
        if self._forks or phase.acts_at == NEVER:
            return
        if not self._is_running:
            self._is_running, self._is_to_stop, self._native_id = True, False, None
            try:
                _thread.start_new_thread(self._watch, ())
            except BaseException:
                self._is_running = False
                raise
        elif phase.acts_at < self._wakes_at:
            self._ring()

    def _ring(self):
        if self._bell.locked():
            self._bell.release()

    def _watch(self):
        # Nobody is in this thread's way with an exception.
        with underthread.hold_interrupts():
            self.ident, self._native_id = _thread.get_ident(), _thread.get_native_id()
            while True:
                with self._lock:
                    if self._is_to_stop:
                        self.ident = None
                        self._is_running = False
                        return
                    now = self._clock()
                    due = next((each for each in self._phases if each.acts_at <= now), None)
                    # The next phase often has the limit of the last, and then need not ring: that is not over before.
                    self._wakes_at = min((each.acts_at for each in self._phases), default=NEVER)
                    self._wakes_at = min(self._wakes_at, now + (self._last_limit or _LONGEST_SLEEP))
                    left = min(max(self._wakes_at - now, 0), _LONGEST_SLEEP)
                if due is None:
                    self._bell.acquire(timeout=left)
                else:
                    self._act_safely(due)

    def _stop(self):
        """Ends the thread, and returns when the system knows it no more."""
        with self._lock:
            if self._is_running:
                self._is_to_stop = True
                self._ring()
        while self._is_running or (
            self._native_id and os.path.exists("/proc/self/task/{}".format(self._native_id))
        ):
            _pause()
        self._native_id = None

    def _before_fork(self):
        with underthread.hold_interrupts():
            with self._lock:
                self._forks += 1
            self._stop()

    def _after_in_parent(self):
        with underthread.hold_interrupts():
            with self._lock:
                self._forks = max(self._forks - 1, 0)
                for phase in self._phases:
                    self._see_to(phase)

    def _after_in_child(self):
        # It is not the child that is to be watched over; it may run tests of its own.
        self._reset()

    # What it does about a phase.

    def _act_safely(self, phase):
        try:
            self._act(phase)
        except Exception as error:
            # So that it is not done again and again.
            with self._lock:
                phase.acts_at = NEVER
            self._tell("underthread: hang_timeout: {}: {!r}\n".format(phase.what, error))

    def _act(self, phase):
        if is_debugged(phase):
            with self._lock:
                phase.acts_at = NEVER
            return
        if phase.failures:
            self._act_again(phase)
            return
        threads, dump = self._make_dump(phase)
        text = "hang_timeout: {} took more than {:g} s".format(phase.what, phase.seconds)
        hung = next((each for each in threads if each[0] == phase.ident), None)
        if hung is not None and hung[5] is not None:
            names = {each[0]: _inspect.thread_name(each) for each in threads}
            text += "\n{} {}".format(_inspect.thread_name(hung), _inspect.wait_text(hung, names))
        phase.dump = dump
        failure = phase.make_failure(text)
        call_in_loop = phase.cancel
        with self._lock:
            if not self._fail(phase, failure):
                return
            if call_in_loop is None:
                _core.interrupt(phase.ident, failure)
                return
            phase.cancelled_by = failure
        self._have_cancelled(phase, failure, call_in_loop)

    def _make_dump(self, phase):
        """What all threads do, ours left out, as tuples and as text."""
        threads, locks, deadlocks = self._snapshot()
        try:
            return threads, _inspect.dump_text(threads, locks, deadlocks, phase.shown)
        except Exception as error:
            # The test is to fail all the same.
            return threads, "no dump: {!r}\n".format(error)

    def _fail(self, phase, failure):
        """With the lock. @return False: the phase has ended"""
        if phase.is_over:
            return False
        phase.failures.append(failure)
        phase.acts_at = self._clock() + GRACE
        return True

    def _have_cancelled(self, phase, failure, call_in_loop):
        """Has the task that the phase is in be cancelled, or if its loop does not run, raises in it."""
        heard = _thread.allocate_lock()
        heard.acquire()
        if call_in_loop(heard.release) and heard.acquire(timeout=LOOP_PATIENCE):
            return
        with self._lock:
            # It may have come just now.
            if heard.locked() and not phase.is_over:
                phase.cancelled_by = None
                _core.interrupt(phase.ident, failure)

    def may_cancel(self, phase, heard):
        """In the loop, which is asked to cancel the task."""
        with underthread.hold_interrupts():
            with self._lock:
                if phase.is_over or phase.cancelled_by is None:
                    return False
                heard()
                return True

    def _act_again(self, phase):
        count = len(phase.failures)
        if not phase.has_begun_to_raise(phase.failures[-1]):
            self._end_run(phase, "the thread has not come back since, to have an exception raised in it")
        elif count >= MOST_FAILURES:
            self._end_run(phase, "{} exceptions have been raised in it, and it goes on".format(count))
        else:
            with self._lock:
                failure = phase.make_failure(str(phase.failures[0]))
                if self._fail(phase, failure):
                    phase.cancelled_by = None
                    _core.interrupt(phase.ident, failure)

    def _end_run(self, phase, why):
        with self._lock:
            if phase.is_over:
                return
        self._tell(
            "\nunderthread: {}\nunderthread: {}. The run ends here.\n\n{}".format(
                phase.failures[0], why, self._make_dump(phase)[1]
            )
        )
        done = _thread.allocate_lock()
        done.acquire()
        # It may need what the hung thread holds.
        _thread.start_new_thread(_call_then_release, (phase.tell_more, self._tell, done))
        done.acquire(timeout=2)
        os._exit(1)

    def _tell(self, text):
        """To the stderr of the run, which no capture has."""
        data = text.encode("utf-8", "backslashreplace")
        try:
            while data:
                data = data[os.write(2 if self._stderr is None else self._stderr, data) :]
        except OSError:
            pass

    # In a thread that is about to wait: nothing is imported here.

    def _on_deadlock(self, kind, is_orphaned, threads):
        text = _inspect.deadlock_text(kind, is_orphaned, threads)
        phase = next(iter(self._phases[-1:]), None)
        if phase is None:
            self._tell("underthread: {}\n".format(text))
        elif kind != "certain" or not any(
            each[0] == phase.ident or (each[0], each[1]) not in phase.earlier for each in threads
        ):
            if len(phase.notes) < _MOST_NOTES:
                phase.notes.append(text)
        else:
            failure = phase.make_failure("hang_timeout: {}: {}".format(phase.what, text))
            is_mine = phase.ident == _thread.get_ident()
            with underthread.hold_interrupts():
                with self._lock:
                    if not phase.failures and self._fail(phase, failure):
                        self._see_to(phase)
                        if not is_mine:
                            _core.interrupt(phase.ident, failure)
            if is_mine:
                raise failure
        if kind == "certain":
            raise DeadlockError(text)


def _call_then_release(function, argument, lock):
    try:
        function(argument)
    finally:
        lock.release()


def _pause(sleep=time.sleep):
    sleep(0.0001)


_watcher = None


def watcher():
    """The one of this process."""
    global _watcher
    if _watcher is None:
        _watcher = Watcher()
    return _watcher
