import gc
import unittest
import weakref

import underthread

underthread.install()

import threading

from programs import STOCK, run


class Value:
    pass


def in_thread(function):
    thread = threading.Thread(target=function)
    thread.start()
    thread.join()


class Local(unittest.TestCase):
    def test_is_ours(self):
        self.assertIs(threading.local, underthread._core._local)

    def test_each_thread_has_its_own_attributes(self):
        local = threading.local()
        local.x = "main"
        seen = []

        def look():
            seen.append(hasattr(local, "x"))
            local.x = "other"
            seen.append(local.x)

        in_thread(look)
        self.assertEqual((seen, local.x), ([False, "other"], "main"))

    def test_init_runs_once_in_each_thread_with_the_same_arguments(self):
        class Counted(threading.local):
            calls = []

            def __init__(self, *arguments, **keywords):
                self.arguments = arguments, keywords
                self.calls.append(threading.get_ident())

        local = Counted(1, two=2)
        seen = []
        in_thread(lambda: (seen.append(local.arguments), seen.append(local.arguments)))
        self.assertEqual(seen, [((1,), {"two": 2})] * 2)
        self.assertEqual(len(Counted.calls), 2)
        self.assertEqual(len(set(Counted.calls)), 2)

    def test_init_that_fails_in_a_thread_is_tried_again_there(self):
        class Picky(threading.local):
            fail = False
            calls = []

            def __init__(self):
                self.calls.append(1)
                self.half = 1
                if Picky.fail:
                    Picky.fail = False
                    raise KeyError("not now")

        local = Picky()
        Picky.fail = True
        seen = []

        def look():
            try:
                local.half
            except KeyError as error:
                seen.append(error.args)
            seen.append(local.half)

        in_thread(look)
        self.assertEqual(seen, [("not now",), 1])
        self.assertEqual(len(Picky.calls), 3)

    def test_attributes_go_with_their_thread(self):
        local = threading.local()
        gone = []

        def use():
            local.value = Value()
            gone.append(weakref.ref(local.value))

        in_thread(use)
        self.assertIsNone(gone[0]())

    def test_the_dict_of_a_plain_local_goes_before_its_type_as_on_stock(self):
        text = """
            import _thread
            class Sub(_thread._local): pass
            for kind in _thread._local, Sub:
                local = kind()
                local.__dict__["__class__"] = 5
                local.__dict__["__module__"] = 6
                print(local.__class__ == 5, local.__module__ == 6)
            """
        self.assertEqual(run(text), run(text, on=STOCK))

    def test_attributes_go_with_the_local_in_all_threads(self):
        local = threading.local()
        local.value = Value()
        gone = [weakref.ref(local.value)]
        used, dropped = threading.Event(), threading.Event()

        def use(box):
            local = box.pop()
            local.value = Value()
            gone.append(weakref.ref(local.value))
            del local
            used.set()
            dropped.wait()

        thread = threading.Thread(target=use, args=[[local]])
        thread.start()
        used.wait()
        del local
        gc.collect()
        seen = [reference() for reference in gone]
        dropped.set()
        thread.join()
        self.assertEqual(seen, [None, None])

    def test_a_cycle_through_a_local_is_collected(self):
        class Mine(threading.local):
            pass

        for kind in (threading.local, Mine):
            value = Value()
            value.local = kind()
            value.local.value = value
            gone = weakref.ref(value)
            del value
            gc.collect()
            self.assertIsNone(gone())

    def test_an_attribute_whose_end_uses_the_local_again_does_no_harm(self):
        class Restless:
            def __init__(self, local):
                self.local = local

            def __del__(self):
                self.local.again = 1
                ended.append(self.local.again)

        ended = []
        local = threading.local()

        def use():
            local.value = Restless(local)

        in_thread(use)
        self.assertEqual(ended, [1])
        use()
        del local
        gc.collect()
        self.assertEqual(ended, [1, 1])

    def test_a_new_thread_never_sees_an_old_ones_attributes(self):
        local = threading.local()
        seen = []
        for number in range(200):
            in_thread(lambda: (seen.append(hasattr(local, "x")), setattr(local, "x", number)))
        self.assertEqual(seen, [False] * 200)

    def test_many_locals_in_many_threads(self):
        locals_ = [threading.local() for _ in range(50)]
        wrong = []

        def use(number):
            for turn in range(20):
                for index, local in enumerate(locals_):
                    if turn:
                        wrong.extend([1] * (local.x != (number, index)))
                    local.x = number, index

        threads = [threading.Thread(target=use, args=[number]) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(wrong, [])


if __name__ == "__main__":
    unittest.main()
