"""The Python processes that a program under `python -m underthread` starts are on ours too."""

import os
import subprocess
import unittest

from programs import LEFT_ON, OURS, PATIENCE, STOCK, SWITCHED_OFF, UNKNOWN, Program, says_unknown

import underthread

PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(underthread.__file__)))

IS_ACTIVE = "import sys, _thread; print(hasattr(_thread, '_underthread_version'))"

PARENT = f"""
    import subprocess, sys
    for arguments in eval(sys.argv[1]):
        subprocess.run([sys.executable, *arguments, "-c", {IS_ACTIVE!r}], check=True)
    """

SPAWN = """
    import multiprocessing, sys, underthread
    def look(_): return underthread.is_active()
    if __name__ == "__main__":
        for method in ("spawn", "forkserver", "fork"):
            with multiprocessing.get_context(method).Pool(1) as pool: print(method, pool.map(look, [0]))
    """

# What it can see of how it was started.
PATHS = """
    import os, sys
    import __main__
    print(sys.path, sorted(vars(__main__)), "sitecustomize" in sys.modules)
    print([name for name in sys.modules if "children" in name], sys.flags, sys.orig_argv[1:]
          if hasattr(sys, "orig_argv") else "")
    print(sorted(entry for entry in sys.path_importer_cache if "_children" in entry))
    """

START = """
    import subprocess, sys
    subprocess.run([sys.executable, *sys.argv[1:]])
    """


def environment(**changes):
    """That of this process, without what would switch it on or off."""
    changed = {
        name: value
        for name, value in os.environ.items()
        if name not in ("UNDERTHREAD", "UNDERTHREAD_CHILDREN")
    }
    changed.update(changes)
    return {name: value for name, value in changed.items() if value is not None}


class Children(unittest.TestCase):
    def ended(self, program, *arguments, on=OURS, env=None):
        ended = program.run(on, program.name, *arguments, env=env or environment())
        self.assertEqual((ended.returncode, ended.stderr), (0, ""))
        return ended.stdout

    def test_are_reached_through_subprocess_and_so_are_theirs(self):
        text = f"""
            import subprocess, sys
            child = "import subprocess, sys; subprocess.run([sys.executable, '-c', sys.argv[1]])"
            subprocess.run([sys.executable, "-c", child, {IS_ACTIVE!r}])
            subprocess.run([sys.executable, "-c", sys.argv[1]], env=None)
            """
        with Program(text) as program:
            self.assertEqual(self.ended(program, IS_ACTIVE), "True\nTrue\n")
            self.assertEqual(self.ended(program, IS_ACTIVE, on=STOCK), "False\nFalse\n")

    def test_are_reached_through_multiprocessing(self):
        with Program(SPAWN) as program:
            self.assertEqual(
                self.ended(program), "spawn [True]\nforkserver [True]\nfork [True]\n"
            )

    def test_are_not_with_no_children_nor_below_a_launcher_that_does(self):
        with Program(PARENT) as program:
            on = [*OURS, "--no-children"]
            self.assertEqual(self.ended(program, "[[]]", on=on), "False\n")
            self.assertEqual(self.ended(program, "[[]]"), "True\n")
        with Program(START) as program:
            child = program.write("child.py", PARENT)
            words = ["-m", "underthread", "--no-children", child, "[[]]"]
            self.assertEqual(self.ended(program, *words), "False\n")
            words.remove("--no-children")
            self.assertEqual(self.ended(program, *words), "True\n")

    def test_that_ignore_their_environment_or_have_no_site_are_not_reached(self):
        with Program(PARENT) as program:
            self.assertEqual(
                self.ended(program, "[['-E'], ['-I'], ['-S'], ['-s'], ['-B']]"),
                "False\nFalse\nFalse\nTrue\nTrue\n",
            )

    def test_see_the_path_that_they_would_see(self):
        with Program(START) as program:
            child = program.write("child.py", PATHS)
            os.mkdir(os.path.join(program.directory, "x"))
            paths = [PACKAGE, f"x{os.pathsep}{PACKAGE}{os.pathsep}", f"{PACKAGE}{os.pathsep}missing"]
            for path in paths:
                for words in ([child], ["-m", "child"], ["-c", PATHS.replace("\n    ", "\n")]):
                    with self.subTest(path=path, words=words[:1]):
                        env = environment(PYTHONPATH=path)
                        theirs = self.ended(program, *words, on=STOCK, env=env)
                        self.assertEqual(theirs, self.ended(program, *words, env=env))

    def test_their_own_sitecustomize_is_run(self):
        with Program(START) as program:
            program.write(
                "own/sitecustomize.py",
                "import sys\nprint(__name__, __file__, sys.modules[__name__].__dict__ is globals())\n",
            )
            path = os.pathsep.join([os.path.join(program.directory, "own"), PACKAGE])
            words = ["-c", "import sys, sitecustomize; print(sitecustomize.__file__)"]
            env = environment(PYTHONPATH=path)
            theirs = self.ended(program, *words, on=STOCK, env=env)
            self.assertEqual(theirs.count("own"), 3)
            self.assertEqual(theirs, self.ended(program, *words, env=env))

    def test_a_failing_sitecustomize_fails_as_it_would(self):
        with Program(START) as program:
            program.write("own/sitecustomize.py", "import missing_module\n")
            path = os.pathsep.join([os.path.join(program.directory, "own"), PACKAGE])
            ends = []
            for on in (STOCK, OURS):
                ended = program.run(on, program.name, "-c", IS_ACTIVE, env=environment(PYTHONPATH=path))
                ends.append((ended.returncode, ended.stderr.splitlines()[-2:], ended.stdout))
            self.assertEqual(ends[0][:2], ends[1][:2])
            self.assertEqual((ends[0][2], ends[1][2]), ("False\n", "True\n"))

    def test_the_package_is_found_where_only_the_launcher_found_it(self):
        with Program(PARENT) as program:
            script = os.path.join(program.directory, program.name)
            ended = subprocess.run(
                [*OURS, script, "[[]]"],
                cwd=PACKAGE,
                env=environment(PYTHONPATH=None),
                capture_output=True,
                text=True,
                timeout=PATIENCE,
            )
            self.assertEqual((ended.returncode, ended.stdout, ended.stderr), (0, "True\n", ""))

    SWITCHED = f"""
        import os, subprocess, sys
        look = {IS_ACTIVE + "; print('underthread' in sys.modules)"!r}
        for value in eval(sys.argv[1]):
            subprocess.run([sys.executable, "-c", look], env=dict(os.environ, UNDERTHREAD=value))
        """

    def test_one_that_is_switched_off_does_not_load_the_package(self):
        with Program(self.SWITCHED) as program:
            out = self.ended(program, repr(SWITCHED_OFF))
            self.assertEqual(out, len(SWITCHED_OFF) * "False\nFalse\n")

    def test_one_with_any_other_value_is_on(self):
        with Program(self.SWITCHED) as program:
            self.assertEqual(self.ended(program, repr(LEFT_ON)), len(LEFT_ON) * "True\nTrue\n")
            ended = program.run(OURS, program.name, repr(UNKNOWN), env=environment())
            self.assertEqual(ended.stdout, len(UNKNOWN) * "True\nTrue\n")
            self.assertEqual(ended.stderr, "".join(map(says_unknown, UNKNOWN)))

    def test_one_with_a_pythonpath_of_its_own_goes_without(self):
        text = f"""
            import os, subprocess, sys
            env = dict(os.environ, PYTHONPATH=os.getcwd())
            subprocess.run([sys.executable, "-c", {IS_ACTIVE!r}], env=env)
            """
        with Program(text) as program:
            self.assertEqual(self.ended(program), "False\n")

    def test_one_that_cannot_load_the_package_says_so_in_one_line_and_runs(self):
        with Program(PARENT) as program:
            program.write("broken/underthread/__init__.py", "1 / 0\n")
            text = f"""
                import os, subprocess, sys
                os.environ["UNDERTHREAD_CHILDREN"] = os.path.abspath("broken")
                os.environ["PYTHONPATH"] = os.environ["PYTHONPATH"].split(os.pathsep)[0]
                subprocess.run([sys.executable, "-c", {IS_ACTIVE!r}])
                """
            script = program.write("script.py", text)
            ended = program.run(OURS, script, env=environment())
            self.assertEqual((ended.returncode, ended.stdout), (0, "False\n"))
            self.assertEqual(
                ended.stderr,
                "underthread: cannot be loaded (ZeroDivisionError: division by zero); "
                "this process stays on stock _thread\n",
            )


if __name__ == "__main__":
    unittest.main()
