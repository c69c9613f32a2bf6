"""Other people's projects can use us: installed or as a part, static or shared."""

import os
import pathlib
import shutil
import subprocess
import tempfile
import unittest

HERE = pathlib.Path(__file__).resolve().parent
SOURCE = pathlib.Path(os.environ.get("UNDERTHREAD_SOURCE_DIR", HERE.parent.parent))
CMAKE = os.environ.get("CMAKE_COMMAND", "cmake")
CXX = os.environ.get("CXX", "c++")


def run(*command, env=None):
    """Runs a command and returns what it printed; what a failing one printed is in the exception."""
    done = subprocess.run([str(word) for word in command], env=env, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if done.returncode:
        raise AssertionError(f"{done.args} exited with {done.returncode}:\n{done.stdout}")
    return done.stdout


class Consumers:
    """The tests; each kind of library is one class below."""

    SHARED = None

    @classmethod
    def setUpClass(cls):
        # Projects are copied out of the tree, where nothing but what they name can be found.
        cls.folder = pathlib.Path(tempfile.mkdtemp(prefix="underthread-install-"))
        cls.addClassCleanup(shutil.rmtree, cls.folder)
        shutil.copytree(HERE, cls.folder / "projects", ignore=shutil.ignore_patterns("*.py", "__pycache__"))
        cls.prefix = cls.folder / "prefix"
        # A prefix given only when installing: the files must find each other wherever they land.
        # Without warnings as errors, as it is where it is a part of another project: what is compiled for one of the
        # builds is then what ccache has for the others. Every preset has them.
        cls.build(SOURCE, "library", "-DUNDERTHREAD_TESTS=OFF", "-DUNDERTHREAD_PYTHON=OFF",
                  "-DUNDERTHREAD_EXAMPLES=OFF", "-DUNDERTHREAD_WERROR=OFF")
        run(CMAKE, "--install", cls.folder / "library", "--prefix", cls.prefix)

    @classmethod
    def build(cls, source, name, *options):
        run(CMAKE, "-S", source, "-B", cls.folder / name, f"-DBUILD_SHARED_LIBS={cls.SHARED}", *options)
        run(CMAKE, "--build", cls.folder / name)
        return cls.folder / name

    def libraries(self):
        return [path for path in self.prefix.rglob("libunderthread*")]

    def test_find_package(self):
        build = self.build(self.folder / "projects" / "find_package", "find_package",
                           f"-DCMAKE_PREFIX_PATH={self.prefix}")
        self.assertEqual(run(build / "program"), "released\n")

    def test_add_subdirectory_builds_the_library_alone(self):
        build = self.build(self.folder / "projects" / "subdirectory", "subdirectory",
                           f"-DUNDERTHREAD_SOURCE_DIR={SOURCE}")
        self.assertEqual(run(build / "program"), "released\n")
        cache = (build / "CMakeCache.txt").read_text()
        for option in ("TESTS", "PYTHON", "EXAMPLES", "WERROR"):
            self.assertIn(f"UNDERTHREAD_{option}:BOOL=OFF", cache)
        for folder in ("tests", "python", "examples"):
            self.assertFalse((build / "underthread" / folder).exists(), folder)

    def test_pkg_config(self):
        found = list(self.prefix.rglob("underthread.pc"))
        self.assertEqual(len(found), 1)
        env = dict(os.environ, PKG_CONFIG_PATH=str(found[0].parent),
                   LD_LIBRARY_PATH=str(found[0].parent.parent))
        self.assertEqual(run("pkg-config", "--modversion", "underthread", env=env), "0.1.0\n")
        flags = run("pkg-config", "--cflags", "--libs", "underthread", env=env).split()
        program = self.folder / "with_pkg_config"
        run(CXX, "-std=c++20", self.folder / "projects" / "main.cpp", "-o", program, *flags)
        self.assertEqual(run(program, env=env), "released\n")

    def test_the_script_for_gdb_is_installed(self):
        script = self.prefix / "share" / "underthread" / "underthread-gdb.py"
        self.assertEqual(script.read_text(), (SOURCE / "gdb" / "underthread-gdb.py").read_text())

    def test_a_program_under_thread_sanitizer_sees_no_false_race(self):
        flags = ["-std=c++20", "-g", "-O1", "-fsanitize=thread"]
        empty = self.folder / "empty.cpp"
        empty.write_text("int main() {}\n")
        try:
            run(CXX, *flags, empty, "-o", self.folder / "empty")
        except AssertionError as error:
            self.skipTest(f"this compiler has no ThreadSanitizer: {error}")
        (library,) = {path.resolve() for path in self.libraries() if path.suffix in (".a", ".so")}
        program = self.folder / "sanitized"
        run(CXX, *flags, f"-I{self.prefix / 'include'}", self.folder / "projects" / "sanitized.cpp", library,
            f"-Wl,-rpath,{library.parent}", "-o", program)
        self.assertEqual(run(program, env=dict(os.environ, TSAN_OPTIONS="halt_on_error=1")),
                         "locks 800 800\nends 4\ninterrupts as sent and stopped\nhandlers 7\nhook failing\ndropped 1\n")


class Static(Consumers, unittest.TestCase):
    SHARED = "OFF"

    def test_kind(self):
        self.assertEqual([path.name for path in self.libraries()], ["libunderthread.a"])

    # The headers are the same for both.
    def test_each_public_header_stands_alone(self):
        headers = sorted((self.prefix / "include").rglob("*.h"))
        self.assertTrue(headers)
        for header in headers:
            with self.subTest(header=header.name):
                run(CXX, "-std=c++20", "-Wall", "-Wextra", "-Werror", "-fsyntax-only",
                    f"-I{self.prefix / 'include'}", "-include", header, "-x", "c++", os.devnull)


class Shared(Consumers, unittest.TestCase):
    SHARED = "ON"

    def test_kind(self):
        self.assertIn("libunderthread.so.0.1", [path.name for path in self.libraries()])


if __name__ == "__main__":
    unittest.main()
