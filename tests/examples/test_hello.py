"""The short examples that the README shows."""

import signal
import sys
import time
import unittest

import programs
from programs import BUILD, SOURCE, finish, run, start


class Hello(unittest.TestCase):
    def test_cpp(self):
        status, out, err = run(self, [str(BUILD / "examples" / "hello_interrupt")])
        self.assertEqual((status, err), (0, ""))
        self.assertEqual(out, "sleeper still sleeps\nmain was interrupted\n")

    def test_ctrl_c_ends_cpp_at_any_moment(self):
        ends = set()
        for step in range(30):
            process = start(self, [str(BUILD / "examples" / "hello_interrupt")])
            # Paced, not waited for: the moments are what is tried.
            time.sleep(step * 0.004)
            process.send_signal(signal.SIGINT)
            status, out, err = finish(process)
            # It may have come where the example catches it, or at its end.
            self.assertIn((status, err), ((0, ""), (-signal.SIGINT, ""), (-signal.SIGINT, "KeyboardInterrupt\n")))
            ends.add(status)
        self.assertIn(-signal.SIGINT, ends)

    @unittest.skipUnless(programs.HAS_PACKAGE, programs.NO_PACKAGE)
    def test_python(self):
        # On the stock _thread it takes an hour: that is what it shows.
        program = str(SOURCE / "examples" / "python" / "hello_interrupt.py")
        status, out, err = run(self, [sys.executable, "-m", "underthread", program])
        self.assertEqual((status, out), (-signal.SIGINT, ""))
        self.assertRegex(err, r'^Traceback \(most recent call last\):\n  File ".*", line 4, in <module>\n(.*\n)*KeyboardInterrupt\n$')

    @unittest.skipUnless(programs.HAS_PACKAGE, programs.NO_PACKAGE)
    def test_python_time_limit(self):
        program = str(SOURCE / "examples" / "python" / "hello_time_limit.py")
        status, out, err = run(self, [sys.executable, "-m", "underthread", program])
        self.assertEqual((status, err), (0, ""))
        self.assertEqual(out, "the time limit of 0.5 s is over (waiting for a lock)\ncleaned up\n")


if __name__ == "__main__":
    unittest.main()
