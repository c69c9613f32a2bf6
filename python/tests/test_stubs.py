"""The stubs say what is there: names, parameters, and nothing else."""

import ast
import importlib
import inspect
import os
import sys
import unittest

import underthread

FOLDER = os.path.dirname(os.path.abspath(underthread.__file__))


def parse(stub):
    """What a stub declares: {name: its node}; and the modules all of whose public names it has too."""
    with open(os.path.join(FOLDER, stub)) as file:
        statements = ast.parse(file.read(), stub).body
    declared, all_of = {}, []
    while statements:
        statement = statements.pop(0)
        if isinstance(statement, ast.If):
            # sys.version_info, sys.platform: what type checkers know of an interpreter.
            holds = eval(compile(ast.Expression(statement.test), stub, "eval"), {"sys": sys})
            statements[:0] = statement.body if holds else statement.orelse
        elif isinstance(statement, (ast.FunctionDef, ast.ClassDef)):
            declared[statement.name] = statement
        elif isinstance(statement, ast.AnnAssign):
            declared[statement.target.id] = statement
        elif isinstance(statement, ast.Assign):
            declared[statement.targets[0].id] = statement
        elif isinstance(statement, ast.ImportFrom) and statement.names[0].name == "*":
            all_of.append(statement.module)
        elif isinstance(statement, (ast.Import, ast.ImportFrom)):
            # `as`: what a stub imports for others too. Without it the name is its own affair.
            declared.update((name.asname, statement) for name in statement.names if name.asname)
    return declared, all_of


def is_public(name):
    return not name.startswith("_")


class Stubs(unittest.TestCase):
    def compare(self, stub, module, public):
        """`public`: what of the module programs may use."""
        declared, all_of = parse(stub)
        for other in all_of:
            for name in filter(is_public, vars(importlib.import_module(other))):
                declared.setdefault(name, None)
        self.assertEqual(set(public) - set(declared), set(), "missing from " + stub)
        for name, node in declared.items():
            with self.subTest(stub=stub, name=name):
                self.assertTrue(hasattr(module, name), "there is none")
                thing = getattr(module, name)
                if isinstance(node, ast.FunctionDef):
                    of_stub = [each.arg for each in node.args.posonlyargs + node.args.args + node.args.kwonlyargs]
                    self.assertEqual(of_stub, list(inspect.signature(thing).parameters))
                elif isinstance(node, ast.ClassDef):
                    self.assertIsInstance(thing, type)
                elif name == "__all__":
                    self.assertEqual(ast.literal_eval(node.value), thing)
                elif isinstance(node, ast.AnnAssign):
                    self.assertEqual(type(thing).__name__, node.annotation.id)

    def test_of_the_package(self):
        self.compare("__init__.pyi", underthread, [*underthread.__all__, "__all__", "__version__", "_core"])

    def test_of_the_extension(self):
        self.compare("_core.pyi", underthread._core, filter(is_public, vars(underthread._core)))

    def test_type_checkers_are_told_that_there_are_stubs(self):
        self.assertTrue(os.path.exists(os.path.join(FOLDER, "py.typed")))


if __name__ == "__main__":
    unittest.main()
