"""A suite with a test that hangs: pytest --hang-timeout 1 test_orders.py"""

import threading

orders = threading.Lock()


def test_hangs():
    orders.acquire()
    with orders:
        pass


def test_goes_on():
    assert not threading.Lock().locked()
