"""What threads of a program on underthread wait for and who holds it, in gdb: of a core file or a running process.

    gdb -x underthread-gdb.py PROGRAM CORE          or: -p PID
    (gdb) underthread locks         all threads, what each waits for, named locks
    (gdb) underthread deadlocks     only threads that wait for each other, or for one that has ended

It needs neither symbols nor debug information. The library describes its own memory in a table
(src/post_mortem.h), which is found by the text that it begins with, once for each copy of the library in the
process. Nothing of the program is called or changed.
"""

import collections
import re
import time

import gdb  # type: ignore

# As src/post_mortem.h has them.
MAGIC = b"underthread post-mortem\0"
VERSION = 1
NAME_SIZE = 24

# What a deadline is that never comes.
NEVER = 2**63 - 1
# Longer names of locks are cut.
LONGEST_NAME = 4096

Wait = collections.namedtuple("Wait", "kind address name lasted left has_blocker blocker only_it is_timed")
Thread = collections.namedtuple("Thread", "holder ident native_id name is_main holds_interrupts wait")
Lock = collections.namedtuple("Lock", "kind address name is_held holder waiting held")
Kind = collections.namedtuple("Kind", "name is_lock")
Deadlock = collections.namedtuple("Deadlock", "kind is_orphaned threads")
NamedLock = collections.namedtuple("NamedLock", "kind name")


class Memory:
    """The memory of the process, as numbers."""

    def __init__(self):
        self.inferior = gdb.selected_inferior()
        self.order = "big" if "big endian" in gdb.execute("show endian", to_string=True) else "little"
        self.word = 8

    def bytes(self, address, size):
        return bytes(self.inferior.read_memory(address, size))

    def number(self, address, size):
        return self.part(self.bytes(address, size), 0, size)

    def part(self, data, offset, size):
        return int.from_bytes(data[offset : offset + size], self.order)

    def u32(self, address):
        return self.number(address, 4)

    def pointer(self, address):
        return self.number(address, self.word)

    def text(self, address, size):
        return self.bytes(address, size).partition(b"\0")[0].decode("utf-8", "replace")

    def find(self, start, end, pattern):
        """Every place between two addresses that holds those bytes."""
        while start < end:
            try:
                found = self.inferior.search_memory(start, end - start, pattern)
            except (gdb.error, OverflowError):  # in neither the core nor a file; or the kernel's own page
                return
            # gdb has an address for memory that it could not read, too: any.
            if found is None or not start <= found < end:
                return
            yield found
            start = found + len(pattern)


# --- The library's own description


class Library:
    """One copy of the library in the process: its table, and what is read by it."""

    def __init__(self, memory, address, file):
        self.memory = memory
        self.file = file
        head = memory.bytes(address, len(MAGIC) + 12)
        version, memory.word, count = (memory.part(head, len(MAGIC) + 4 * i, 4) for i in range(3))
        if version != VERSION:
            raise gdb.GdbError(
                "underthread: the library in {} has its memory described in version {}, and this script knows "
                "version {}: use the script that came with that library".format(file, version, VERSION)
            )
        size = NAME_SIZE + memory.word
        first = address + len(MAGIC) + 16 + memory.word
        rows = memory.bytes(first, count * size)
        self.rows = {}
        for start in range(0, count * size, size):
            name = rows[start : start + NAME_SIZE].partition(b"\0")[0].decode()
            self.rows[name] = memory.part(rows, start + NAME_SIZE, memory.word)

    def row(self, name):
        if name not in self.rows:
            raise gdb.GdbError(
                "underthread: the library in {} does not say where '{}' is: use the script that came with that "
                "library".format(self.file, name)
            )
        return self.rows[name]

    def words(self, name, *names):
        """What a row points to: numbers, one after the other."""
        address = self.row(name)
        return [self.memory.pointer(address + i * self.memory.word) for i in range(len(names))]


def sections():
    """(start, end, name, file) of all that is mapped from files, and of the core's own parts."""
    program = gdb.current_progspace().filename or "the program"
    line = re.compile(r"^\s+(0x[0-9a-f]+) - (0x[0-9a-f]+) is (\S+)(?: in (.*))?$")
    for text in gdb.execute("info files", to_string=True).splitlines():
        match = line.match(text)
        if match:
            start, end, name, file = match.groups()
            yield int(start, 16), int(end, 16), name, file or program


def libraries(memory):
    """The copies of the library in the process, in the order of their addresses."""
    everything = list(sections())
    # The table holds addresses, so it is where what the loader writes and then protects is. A file may be missing
    # where the core is looked at; then the core's own parts have it.
    likely = [section for section in everything if section[2].startswith(".data.rel.ro")]
    for some in likely, everything:
        found = {}
        for start, end, _, file in some:
            for address in memory.find(start, end, MAGIC):
                # It says its own address: a copy of it, as in a file that was read, is not it.
                if is_at(memory, address):
                    found.setdefault(address, file)
        if found:
            return [Library(memory, address, found[address]) for address in sorted(found)]
    return []


def is_at(memory, address):
    try:
        size = memory.u32(address + len(MAGIC) + 4)
        return size in (4, 8) and memory.number(address + len(MAGIC) + 16, size) == address
    except gdb.MemoryError:
        return False


# --- What it knows of threads and locks


class Snapshot:
    """All threads of one copy of the library, as `underthread::snapshot` has them."""

    def __init__(self, library):
        self.library = library
        self.memory = library.memory
        self.row = library.row
        self.flags = (1 << self.row("word.holder_shift")) - 1
        self.kinds = {}
        self.named = {}
        self.records = {}
        self.read_names()
        self.read_records()

        self.is_live, self.now = False, 0
        self.last_wait = max([self.field(record, "waiter.since", 8) for _, record in self.records.values()] + [0])

    def take(self, now, is_live):
        """What there is, as of a moment of the monotonic clock, in nanoseconds."""
        self.is_live, self.now = is_live, now
        self.threads = [self.thread(holder, *self.records[holder]) for holder in self.records if self.ident(holder)]
        self.threads.sort(key=lambda thread: (not thread.is_main, thread.native_id))
        self.by_holder = {thread.holder: thread for thread in self.threads}
        self.locks = self.all_locks()

    def read_records(self):
        memory = self.memory
        table, limit, per_chunk, first = self.library.words("records", "chunks", "limit", "size", "first")
        size = self.row("record.size")
        self.born_in = memory.u32(self.row("fork_count"))
        self.main = memory.pointer(self.row("main_thread"))
        for number in range(limit):
            chunk = memory.pointer(table + number * memory.word)
            if chunk == 0:
                break
            data = memory.bytes(chunk + first, per_chunk * size)
            for i in range(per_chunk):
                record = data[i * size : (i + 1) * size]
                live = self.field(record, "record.live", 4)
                # Those that are free are told by another number than a holder's.
                self.records[live or -(number * per_chunk + i) - 1] = chunk + first + i * size, record

    def field(self, record, row, size=0):
        return self.memory.part(record, self.row(row), size or self.memory.word)

    def ident(self, holder):
        """As `ident_of`: 0 for a thread that has ended, or did not survive a fork."""
        record = self.records.get(holder, (0, None))[1] if holder > 0 else None
        if record is None or self.field(record, "record.born_in", 4) != self.born_in:
            return 0
        return self.field(record, "record.ident")

    def thread(self, holder, address, record):
        memory = self.memory
        name = record[self.row("record.name") :][: self.row("record.name_size")].partition(b"\0")[0]
        return Thread(
            holder,
            self.field(record, "record.ident"),
            self.field(record, "record.native_id", 8),
            name.decode("utf-8", "replace"),
            address == self.main,
            self.field(record, "record.interrupts_held", 4) != 0,
            self.wait(record),
        )

    def wait(self, record):
        key = self.field(record, "record.waits_for")
        if key == 0:
            return None
        address = self.field(record, "waiter.kind")
        kind = self.kind(address)
        blocker = 0
        if address == self.row("kind.join"):
            blocker = self.field(record, "waiter.token", 4)
            blocker |= self.row("word.only_it") if blocker else 0
        elif kind.is_lock or address == self.row("kind.sentinel"):
            blocker = self.word(key)
            blocker |= 0 if kind.is_lock else self.row("word.only_it")
        until = self.field(record, "waiter.until", 8)
        return Wait(
            kind.name,
            key if kind.is_lock else 0,
            self.named[key].name if kind.is_lock and key in self.named else "",
            max(self.now - self.field(record, "waiter.since", 8), 0),
            max(until - self.now, 0),
            blocker != 0,
            blocker & ~self.flags,
            blocker & self.row("word.only_it") != 0,
            until != NEVER,
        )

    def kind(self, address):
        if address not in self.kinds:
            try:
                name = self.memory.text(self.memory.pointer(address + self.row("kind.name")), 8)
                is_lock = self.memory.number(address + self.row("kind.is_lock"), 1) != 0
                self.kinds[address] = Kind(name, is_lock)
            except gdb.MemoryError:  # the library's file is not here
                names = {"lock": "lock", "rlock": "rlock", "sentinel": "join", "join": "join", "sleep": "sleep"}
                name = next((names[one] for one in names if self.row("kind." + one) == address), "wait")
                self.kinds[address] = Kind(name, name in ("lock", "rlock"))
        return self.kinds[address]

    def word(self, lock):
        """Who holds a lock and how, without `parked`; 0 also where there is no memory any more."""
        try:
            return self.memory.u32(lock) & (~self.flags | self.row("word.only_it"))
        except gdb.MemoryError:
            return 0

    def read_names(self):
        memory = self.memory
        root, lock, is_rlock, text, size = self.library.words("names", "root", "lock", "is_rlock", "text", "size")
        left, seen = [memory.pointer(root)], set()
        while left:
            entry = left.pop()
            # A core may have been made in the middle of a change.
            if entry == 0 or entry in seen:
                continue
            seen.add(entry)
            try:
                left += [memory.pointer(entry + self.row(row)) for row in ("node.less", "node.more")]
                length = min(memory.pointer(entry + size), LONGEST_NAME)
                name = memory.text(memory.pointer(entry + text), length)
                kind = "rlock" if memory.number(entry + is_rlock, 1) else "lock"
                self.named[memory.pointer(entry + lock)] = NamedLock(kind, name)
            except gdb.MemoryError:
                continue

    def all_locks(self):
        """Those that somebody waits for, or that have a name; most waited for first."""
        waits = collections.defaultdict(list)
        for thread in self.threads:
            if thread.wait and thread.wait.address:
                waits[thread.wait.address].append(thread.wait)
        locks = []
        for address in sorted(set(waits) | set(self.named)):
            those = waits[address]
            named = self.named.get(address, NamedLock("", ""))
            word = self.word(address)
            held = max([wait.lasted for wait in those] + [0])
            kind = those[0].kind if those else named.kind
            locks.append(Lock(kind, address, named.name, word != 0, word & ~self.flags, len(those), held))
        return sorted(locks, key=lambda lock: -lock.waiting)

    def deadlocks(self):
        """Threads that wait for each other, or for one that is no more, by the rules of src/lot/wait_graph.cpp."""
        found, passed = [], set()
        for first in self.threads:
            path = []
            thread = first
            while thread and thread.wait and thread.holder not in passed:
                passed.add(thread.holder)
                path.append(thread)
                thread = self.by_holder.get(thread.wait.blocker)
            if thread in path:
                cycle = path[path.index(thread) :]
                kind = self.kind_of(cycle)
                if kind == "certain" or (kind and len(cycle) > 1):
                    # Each begins with the thread whose record is first, and so do they all.
                    first_record = min(range(len(cycle)), key=lambda place: cycle[place].holder)
                    found.append(Deadlock(kind, False, cycle[first_record:] + cycle[:first_record]))
        return sorted(found + list(self.orphans()), key=lambda deadlock: deadlock.threads[0].holder)

    def orphans(self):
        told = set()
        for thread in sorted((one for one in self.threads if one.wait), key=lambda one: -one.wait.lasted):
            wait = thread.wait
            if not wait.blocker or wait.blocker in self.by_holder or (wait.address and wait.address in told):
                continue
            # Any thread may release what an ended one left, but not what a fork has left behind.
            kind = self.kind_of([thread])
            if kind and (wait.only_it or wait.blocker in self.records):
                told.add(wait.address)
                yield Deadlock(kind, True, [thread])

    @staticmethod
    def kind_of(threads):
        is_timed = any(thread.wait.is_timed for thread in threads)
        is_bare = any(not thread.wait.only_it for thread in threads)
        if is_timed and is_bare:
            return None
        return "timed" if is_timed else "possible" if is_bare else "certain"


# --- As text


class Text:
    """A snapshot for people, as `Snapshot::text` and `Deadlock::text` have it."""

    def __init__(self, snapshot):
        self.all = snapshot
        # gdb's own numbers, for its command `thread`.
        self.numbers = {thread.ptid[1]: thread.num for thread in snapshot.memory.inferior.threads()}

    def table(self):
        threads, locks, deadlocks = self.all.threads, self.all.locks, self.all.deadlocks()
        waiting = sum(thread.wait is not None for thread in threads)
        lines = [
            "{}: {} in waits of underthread, {} elsewhere".format(
                count(len(threads), "thread"), waiting, len(threads) - waiting
            )
        ]
        # Not those of waiters of conditions: each has its own.
        crowded = {
            thread.wait.address
            for thread in threads
            if thread.wait and (thread.wait.blocker != thread.holder or thread.wait.only_it)
        }
        most = next((lock for lock in locks if lock.waiting and lock.address in crowded), None)
        if most:
            line = "most waited for: {}, by {}".format(lock_text(most), count(most.waiting, "thread"))
            holder = self.all.by_holder.get(most.holder)
            if holder:
                line += "; {} has held it".format(short_name(holder))
                line += " for {} or more".format(time_text(most.held)) if most.held else ""
            lines.append(line)
        if deadlocks:
            more = len(deadlocks) - 1
            lines.append(self.deadlock_line(deadlocks[0]) + ("; and {} more".format(more) if more else ""))
        if waiting and not self.all.is_live:
            lines.append(
                "times end when the last wait began ({:.3f} s of the monotonic clock): a core file does not say when "
                "it was made".format(self.all.now / 1e9)
            )
        lines += ["  " + self.thread_line(thread) for thread in threads]
        lines += [
            "  {}: {}".format(lock_text(lock), self.holder_text(lock.is_held, lock.holder))
            for lock in locks
            if not lock.waiting
        ]
        return "\n".join(lines)

    def deadlock_table(self):
        lines = []
        for deadlock in self.all.deadlocks():
            lines.append(self.deadlock_head(deadlock))
            lines += ["  " + self.thread_line(thread) for thread in deadlock.threads]
        return "\n".join(lines or ["no deadlock"])

    @staticmethod
    def deadlock_line(deadlock):
        head = {"possible": "possible deadlock", "timed": "deadlock for a limited time"}.get(deadlock.kind, "deadlock")
        names = [short_name(thread) for thread in deadlock.threads]
        last = "a thread that has ended" if deadlock.is_orphaned else names[0]
        return "{}: {}".format(head, " -> ".join(names + [last]))

    @staticmethod
    def deadlock_head(deadlock):
        what = "possible deadlock: " if deadlock.kind == "possible" else "deadlock: "
        if deadlock.is_orphaned:
            return what + "a thread waits for one that is no more"
        if len(deadlock.threads) == 1:
            return what + "a thread waits for itself"
        head = what + "{} wait for each other".format(count(len(deadlock.threads), "thread"))
        return head + (", one of them for a limited time" if deadlock.kind == "timed" else "")

    def thread_line(self, thread):
        numbers = "(ident {}, native id {}".format(thread.ident, thread.native_id)
        if thread.native_id in self.numbers:
            numbers += ", gdb thread {}".format(self.numbers[thread.native_id])
        name = thread.name or ("main thread" if thread.is_main else "thread")
        return "{} {}) {}".format(name, numbers, self.wait_text(thread))

    def wait_text(self, thread):
        wait = thread.wait
        if wait is None:
            return "runs, or waits for something else"
        if self.all.is_live:
            lasted = time_text(wait.lasted)
        else:
            lasted = "at least " + time_text(wait.lasted) if wait.lasted else "an unknown time"
        if wait.address:
            text = "has waited {} for {}".format(lasted, lock_text(wait))
            if wait.has_blocker:
                # A condition's waiter has acquired its lock once before, for another to release it.
                if wait.blocker == thread.holder:
                    text += ", which it holds itself" if wait.only_it else ", which another thread is to release"
                else:
                    text += ", " + self.holder_text(True, wait.blocker)
                    text += "" if wait.only_it else " (any thread may release it)"
        elif wait.kind == "join" and wait.has_blocker:
            text = "has waited {} for {} to end".format(lasted, self.name_of(wait.blocker))
        elif wait.kind == "sleep":
            text = "has slept for {}".format(lasted)
        else:
            text = "has waited {}".format(lasted)
        if wait.is_timed and self.all.is_live:
            text += ", for at most {} more".format(time_text(wait.left))
        elif wait.is_timed:
            text += ", until {} after the last wait began".format(time_text(wait.left))
        return text + ("; it holds interrupts off" if thread.holds_interrupts else "")

    def holder_text(self, is_held, holder):
        if not is_held:
            return "free"
        if holder not in self.all.by_holder:
            return "held by a thread that has ended"
        return "held by " + self.name_of(holder)

    def name_of(self, holder):
        thread = self.all.by_holder.get(holder)
        return short_name(thread) if thread else "a thread that has ended"


def short_name(thread):
    return thread.name or ("the main thread" if thread.is_main else "thread {}".format(thread.native_id))


def lock_text(lock):
    return "{} '{}'".format(lock.kind, lock.name) if lock.name else "{} at {:#x}".format(lock.kind, lock.address)


def count(number, one):
    return "{} {}{}".format(number, one, "" if number == 1 else "s")


def time_text(nanoseconds):
    for unit, size in ("s", 1e9), ("ms", 1e6), ("us", 1e3):
        if nanoseconds >= size or unit == "us":
            return "{:.{}f} {}".format(nanoseconds / size, 1 if nanoseconds / size < 10 else 0, unit)


# --- The commands


def present():
    """The moment, of the clock that waits are timed by; None: it is not a process of this machine."""
    is_here = "Using the running image of" in gdb.execute("info files", to_string=True)
    return time.monotonic_ns() if is_here else None


def all_copies(text_of):
    """Prints the text of each copy of the library; which file it is in, where there are several."""
    program = gdb.current_progspace().filename or "the process"
    if not gdb.selected_inferior().threads():
        raise gdb.GdbError("underthread: there is no process to look at: start gdb with PROGRAM CORE, or with -p PID")
    found = libraries(Memory())
    if not found:
        raise gdb.GdbError(
            "underthread: no underthread is in the memory of {}: it is not linked with it, or the core is of another "
            "program or of other libraries".format(program)
        )
    try:
        snapshots = [Snapshot(library) for library in found]
        now = present()
        for snapshot in snapshots:
            if len(found) > 1:
                gdb.write("underthread in {}:\n".format(snapshot.library.file))
            snapshot.take(now or max(one.last_wait for one in snapshots), now is not None)
            gdb.write(text_of(Text(snapshot)) + "\n")
    except gdb.MemoryError as error:
        raise gdb.GdbError("underthread: memory of the library is missing, as in a core that was cut: {}".format(error))


class Underthread(gdb.Command):
    """What threads on underthread wait for, and who holds it."""

    def __init__(self):
        super().__init__("underthread", gdb.COMMAND_STATUS, gdb.COMPLETE_NONE, True)


class Locks(gdb.Command):
    """All threads that underthread knows, what each waits for and who holds that; and locks that have a name."""

    def __init__(self):
        super().__init__("underthread locks", gdb.COMMAND_STATUS)

    def invoke(self, argument, from_tty):
        all_copies(Text.table)


class Deadlocks(gdb.Command):
    """Threads that wait for each other for ever, or for a thread that has ended."""

    def __init__(self):
        super().__init__("underthread deadlocks", gdb.COMMAND_STATUS)

    def invoke(self, argument, from_tty):
        all_copies(Text.deadlock_table)


Underthread()
Locks()
Deadlocks()
