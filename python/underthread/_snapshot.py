"""What ``underthread.snapshot()`` returns."""

from dataclasses import dataclass
from typing import List, Optional

from underthread import _inspect


@dataclass(frozen=True)
class Wait:
    """What a thread waits for. Times are in seconds."""

    kind: str  # "lock", "rlock", "join", "sleep"; "wait": another
    address: int  # of the lock, as its repr and id() have it; 0: it is none
    lock_name: str  # "": it has none
    lasted: float
    left: Optional[float]  # until its timeout or time limit ends it; None: it has none
    interruptible: bool
    blocker: Optional[int]  # the ident of who must act: a holder, who is joined; 0: that thread is no more; None: nobody
    only_it: bool  # no other thread can: it holds the lock by `with`


@dataclass(frozen=True)
class Thread:
    ident: int
    native_id: int
    name: str  # of its threading.Thread; "": it has none
    daemon: Optional[bool]  # None: it has no threading.Thread
    is_main: bool
    holds_interrupts: bool
    wait: Optional[Wait]  # None: it runs, or waits for something that is not ours


@dataclass(frozen=True)
class Lock:
    """A lock that somebody waits for, or that has a name."""

    kind: str
    address: int
    name: str
    is_held: bool
    holder: int  # 0: nobody, or the thread has ended
    is_scoped: bool  # held by `with`
    waiting: int  # how many threads
    held: float  # at least so many seconds: the longest of their waits


@dataclass(frozen=True)
class Deadlock:
    """Threads that wait for each other: each for the next, and the last for the first."""

    kind: str  # "certain"; "possible": any thread may release a lock of it; "timed": a wait of it has a limit
    is_orphaned: bool  # it is one thread, which waits for one that has ended or did not survive a fork
    threads: List[int]  # their idents


@dataclass(frozen=True)
class Snapshot:
    threads: List[Thread]  # the main thread first
    locks: List[Lock]  # most waited for first
    deadlocks: List[Deadlock]

    @classmethod
    def _of(cls, threads, locks, deadlocks):
        return cls(
            [_thread(*thread) for thread in threads],
            [Lock(*lock) for lock in locks],
            [Deadlock(*deadlock) for deadlock in deadlocks],
        )


def _thread(ident, native_id, name, is_main, holds_interrupts, wait):
    named = _inspect.python_thread(ident)
    return Thread(
        ident,
        native_id,
        getattr(named, "_name", None) or name,
        getattr(named, "_daemonic", None),
        is_main,
        holds_interrupts,
        wait and Wait(*wait),
    )
