"""Two threads that wait for each other, on underthread; prints what the library says, and stays so."""

import _thread
import ctypes
import json
import sys
import threading
import time

import underthread

# A debugger that has not started it may look: PR_SET_PTRACER, PR_SET_PTRACER_ANY.
ctypes.CDLL(None).prctl(0x59616D61, ctypes.c_ulong(-1))

accounts, orders = threading.Lock(), threading.RLock()
underthread.name(accounts, "accounts")
underthread.name(orders, "orders")
both = threading.Barrier(2)


def transfer(first, second):
    with first:
        both.wait()
        with second:
            pass


def waiting():
    return [thread for thread in underthread.snapshot().threads if thread.wait]


_thread.start_new_thread(transfer, (accounts, orders))
_thread.start_new_thread(transfer, (orders, accounts))
while [thread.wait.lock_name for thread in waiting()] not in (["accounts", "orders"], ["orders", "accounts"]):
    time.sleep(0.001)
print(json.dumps([[one.ident, one.native_id, one.wait.kind, one.wait.lock_name, one.wait.blocker] for one in waiting()]))
sys.stdout.flush()
sys.stdin.read()
