"""The short examples that the README shows."""

import signal
import sys
import unittest

import programs
from programs import BUILD, SOURCE, run


class Hello(unittest.TestCase):
    def test_cpp(self):
        status, out, err = run(self, [str(BUILD / "examples" / "hello_interrupt")])
        self.assertEqual((status, err), (0, ""))
        self.assertEqual(out, "sleeper still sleeps\nmain was interrupted\n")

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
