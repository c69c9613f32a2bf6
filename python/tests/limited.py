"""What programs of the tests of time limits begin with, and what their limits say."""

SETUP = """
    import asyncio, contextlib, os, signal, sys, threading, time, _thread, underthread
    from underthread import hold_interrupts, time_limit
    held = threading.Lock()
    held.acquire()
    def spin(seconds):
        end = time.monotonic() + seconds
        while time.monotonic() < end: pass
    def in_thread(function, *arguments):
        thread = threading.Thread(target=function, args=arguments)
        thread.start()
        thread.join()
    def told(function, *arguments):
        try: return function(*arguments)
        except TimeoutError as error: return str(error).partition(" (")[0]
    """
OVER = "the time limit of 0.05 s is over"
