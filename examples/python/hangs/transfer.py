"""Two threads take the same two locks, each in its own order."""

import threading

accounts, orders = threading.Lock(), threading.Lock()
both_hold_one = threading.Barrier(2)  # so that it happens each time


def move(first, second):
    with first:
        both_hold_one.wait()
        with second:
            print("moved")


threading.Thread(target=move, args=(accounts, orders), name="one").start()
threading.Thread(target=move, args=(orders, accounts), name="two").start()
