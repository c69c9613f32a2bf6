"""An object that writes a line when it goes, which may be while a line is written."""

import gc
import threading


class Log:
    def __init__(self):
        self.lock = threading.Lock()

    def write(self, line):
        with self.lock:
            print(line)
            gc.collect()  # as any allocation may


class Connection:
    def __init__(self, log):
        self.log = log
        self.itself = self  # only the garbage collector frees it

    def __del__(self):
        self.log.write("connection closed")


log = Log()
Connection(log)
log.write("begin")
