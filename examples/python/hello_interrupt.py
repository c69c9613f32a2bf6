import _thread, threading, time

threading.Timer(0.5, _thread.interrupt_main).start()
time.sleep(3600)  # or acquire(), recv(), select(), input(), …
