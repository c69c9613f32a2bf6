"""A time limit in a task of asyncio: the task is cancelled where it waits, interrupted where it does not, and no other."""

import sys
import unittest

from limited import OVER, SETUP
from programs import run


class Tasks(unittest.TestCase):
    def assert_prints(self, text, *lines):
        self.assertEqual(run(SETUP + text).splitlines(), list(lines))

    def test_a_task_that_waits_in_its_block_ends_by_a_timeout_error_and_the_loop_goes_on(self):
        for where in "run()", "in_thread(run)":
            self.assert_prints(
                f"""
    async def slow():
        with time_limit(0.05):
            await asyncio.sleep(3600)
    async def innocent():
        await asyncio.sleep(0.01)
        time.sleep(0.1)
        return "innocent"
    async def main():
        results = await asyncio.gather(slow(), innocent(), return_exceptions=True)
        print(*results)
    def run(): asyncio.run(main())
    {where}
    """,
                f"{OVER} innocent",
            )

    def test_a_task_that_does_not_wait_is_interrupted_where_it_is(self):
        self.assert_prints(
            """
    async def busy():
        with time_limit(0.05): held.acquire()
    print(told(asyncio.run, busy()))
    """,
            OVER,
        )

    @unittest.skipIf(sys.version_info < (3, 12), "there are no eager tasks")
    def test_the_first_step_of_an_eager_task_does_not_get_its_parents(self):
        self.assert_prints(
            """
    async def child():
        spin(0.1)
        print("child goes on")
        await asyncio.sleep(3600)
    async def main():
        asyncio.get_running_loop().set_task_factory(asyncio.eager_task_factory)
        try:
            with time_limit(0.05):
                task = asyncio.create_task(child())
                await asyncio.sleep(3600)
        except TimeoutError: print("limited")
        print(task.done())
    asyncio.run(main())
    """,
            "child goes on",
            "limited",
            "False",
        )

    def test_a_cancellation_by_others_stays_one(self):
        self.assert_prints(
            """
    async def limited():
        with time_limit(3600): await asyncio.sleep(3600)
    async def main():
        task = asyncio.ensure_future(limited())
        await asyncio.sleep(0)
        task.cancel()
        try: await task
        except asyncio.CancelledError: print("cancelled")
        print(await asyncio.wait_for(asyncio.sleep(0, "goes on"), 60))
    asyncio.run(main())
    """,
            "cancelled",
            "goes on",
        )

    def test_a_cancellation_by_others_stays_one_where_the_time_is_up_as_well(self):
        # Tasks count cancellations since 3.11; before, the one that comes first is told by its text.
        self.assert_prints(
            """
    async def limited():
        with time_limit(0.05): await asyncio.sleep(3600)
    async def main():
        task = asyncio.ensure_future(limited())
        await asyncio.sleep(0)
        # Both are due in one turn of the loop.
        asyncio.get_running_loop().call_later(0.04, task.cancel)
        time.sleep(0.1)
        try: await task
        except asyncio.CancelledError: print("cancelled")
    asyncio.run(main())
    """,
            "cancelled",
        )

    def test_a_cancellation_by_others_stays_one_that_comes_while_the_limits_is_handled(self):
        self.assert_prints(
            """
    async def sleeps(): await asyncio.sleep(3600)
    async def gathers(): await asyncio.gather(sleeps(), sleeps())
    async def waits_for_a_task(): await asyncio.ensure_future(sleeps())
    async def cleans_up(wait, cleaning):
        try: await wait()
        except asyncio.CancelledError:
            cleaning.set()
            await asyncio.sleep(3600)
    async def limited(wait, cleaning):
        try:
            with time_limit(0.05): await cleans_up(wait, cleaning)
        except TimeoutError: return "the limit"
    async def main():
        for wait in sleeps, gathers, waits_for_a_task:
            cleaning = asyncio.Event()
            task = asyncio.ensure_future(limited(wait, cleaning))
            await cleaning.wait()
            task.cancel()
            try: print(await task)
            except asyncio.CancelledError: print("cancelled")
    asyncio.run(main())
    """,
            *["cancelled"] * 3,
        )

    def test_it_ends_by_a_timeout_error_however_its_cancellation_has_come_to_the_block(self):
        self.assert_prints(
            f"""
    async def sleeps(): await asyncio.sleep(3600)
    async def gathers(): await asyncio.gather(sleeps(), sleeps())
    async def waits_for_a_task(): await asyncio.ensure_future(sleeps())
    async def waits_for_a_task_that_gathers(): await asyncio.ensure_future(gathers())
    async def raises_another():
        try: await asyncio.sleep(3600)
        except asyncio.CancelledError: raise asyncio.CancelledError() from None
    async def raises_another_of_a_task():
        try: await asyncio.ensure_future(raises_another())
        except asyncio.CancelledError:
            await asyncio.sleep(0)
            raise asyncio.CancelledError()
    async def main():
        for wait in (gathers, waits_for_a_task, waits_for_a_task_that_gathers, raises_another,
                     raises_another_of_a_task):
            try:
                with time_limit(0.05): await wait()
            except TimeoutError as error:
                if str(error) != {OVER!r}: print(wait.__name__, error)
            except asyncio.CancelledError: print(wait.__name__, "is cancelled")
        print("the end")
    asyncio.run(main())
    """,
            "the end",
        )

    def test_a_task_is_cancelled_in_whatever_its_block_is_awaited_by(self):
        # The seconds that a block took are told only where it has ended by itself.
        self.assert_prints(
            f"""
    async def limited():
        with time_limit(0.05): await asyncio.sleep(1)
    async def rows():
        with time_limit(0.05):
            await asyncio.sleep(1)
            yield
    async def second_rows():
        with contextlib.suppress(KeyError): yield
        with time_limit(0.05):
            await asyncio.sleep(1)
            yield
    class Awaitable:
        def __await__(self): return limited().__await__()
    class Generating:
        def __await__(self): return (yield from limited().__await__())
    class Limiting:
        def __await__(self):
            with time_limit(0.05): yield from asyncio.sleep(1).__await__()
    @contextlib.asynccontextmanager
    async def entered():
        with time_limit(0.05): await asyncio.sleep(1)
        yield
    @contextlib.asynccontextmanager
    async def left():
        try: yield
        finally:
            with time_limit(0.05): await asyncio.sleep(1)
    async def iterates():
        async for _ in rows(): pass
    async def iterates_in_another():
        async def outer():
            async for each in rows(): yield each
        async for _ in outer(): pass
    async def sends():
        kept = second_rows()
        await kept.asend(None)
        await kept.asend(limited)
    async def throws():
        kept = second_rows()
        await kept.asend(None)
        await kept.athrow(KeyError())
    async def closes():
        async def kept():
            try: yield
            finally: await limited()
        each = kept()
        await each.asend(None)
        await each.aclose()
    async def takes_one(): await anext(rows(), None)
    async def awaits(): await Awaitable()
    async def awaits_a_generator(): await Generating()
    async def enters():
        async with entered(): pass
    async def leaves():
        async with left(): pass
    async def leaves_by_an_error():
        async with left(): raise KeyError
    waits = [iterates, iterates_in_another, sends, throws, closes, awaits, awaits_a_generator, enters, leaves,
             leaves_by_an_error]
    if sys.version_info >= (3, 10): waits.append(takes_one)
    async def main():
        for wait in waits:
            try: await wait()
            except TimeoutError as error:
                if str(error) != {OVER!r}: print(wait.__name__, error)
        print("the end")
    asyncio.run(main())
    """,
            "the end",
        )

    def test_one_that_is_over_while_another_task_holds_interrupts_off_comes_when_that_ends(self):
        self.assert_prints(
            """
    over = []
    async def holds():
        with hold_interrupts():
            while not limit.expired: await asyncio.sleep(0.01)
            await asyncio.sleep(0.1)
            print("the hold ends", over)
    async def limited():
        try:
            with limit: await asyncio.sleep(2)
        except TimeoutError as error: over.append(str(error))
        print(*over)
    async def left_before():
        with contextlib.suppress(TimeoutError), time_limit(0.05) as left:
            while not left.expired: await asyncio.sleep(0.01)
            await asyncio.sleep(0.03)
        await asyncio.sleep(0.2)
        print("and nothing comes to a block that was left before")
    async def main(): await asyncio.gather(holds(), limited(), left_before())
    limit = time_limit(0.05)
    asyncio.run(main())
    """,
            "the hold ends []",
            OVER,
            "and nothing comes to a block that was left before",
        )

    def test_a_consumer_of_an_async_generator_that_is_suspended_in_its_block_is_not_cancelled(self):
        self.assert_prints(
            """
    async def rows():
        with time_limit(0.05): yield
    async def main():
        async for _ in rows():
            await asyncio.sleep(0.1)
            print("the body went on")
            break
    try: asyncio.run(main())
    except TimeoutError: pass
    """,
            "the body went on",
        )


    def test_an_async_generator_that_is_resumed_late_and_waits_has_its_task_cancelled(self):
        # The task that has entered the block, another one that has the generator now, or one for each step.
        self.assert_prints(
            """
    async def rows():
        with time_limit(0.05):
            yield
            await asyncio.sleep(60)
    async def step(rows): return await rows.__anext__()
    async def one():
        it = rows()
        await it.__anext__()
        await asyncio.sleep(0.1)
        await it.__anext__()
    async def another():
        it = rows()
        await it.__anext__()
        await asyncio.sleep(0.1)
        await asyncio.ensure_future(step(it))
    async def one_for_each():
        it = rows()
        while True: await asyncio.wait_for(it.__anext__(), 60)
    for function in one, another, one_for_each: print(told(asyncio.run, function()))
    """,
            *[OVER] * 3,
        )

    def test_the_timer_of_a_block_that_nobody_has_left_is_not_the_next_ones(self):
        # Its coroutine is closed by another thread, as where that collects it.
        self.assert_prints(
            """
    limit = time_limit(0.2)
    async def block(future):
        with limit: await future
    async def main():
        loop = asyncio.get_running_loop()
        coroutine = block(loop.create_future())
        task = asyncio.ensure_future(coroutine)
        await asyncio.sleep(0.1)
        in_thread(coroutine.close)
        start = time.monotonic()
        try: await block(loop.create_future())
        except TimeoutError: print(time.monotonic() - start >= 0.2)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    asyncio.run(main())
    """,
            "True",
        )

    @unittest.skipIf(sys.version_info < (3, 11), "tasks count their cancellations from 3.11 on")
    def test_a_handler_that_raises_where_the_block_is_left_leaves_no_cancellation_counted(self):
        self.assert_prints(
            """
    class Mine(Exception): pass
    def handler(*_): raise Mine
    signal.signal(signal.SIGUSR1, handler)
    cancel = asyncio.TimerHandle.cancel
    def cancel_and_raise(self):
        asyncio.TimerHandle.cancel = cancel
        cancel(self)
        signal.raise_signal(signal.SIGUSR1)
    async def main():
        try:
            with time_limit(0.05):
                try: await asyncio.sleep(60)
                finally: asyncio.TimerHandle.cancel = cancel_and_raise
        except Mine: print(asyncio.current_task().cancelling())
    asyncio.run(main())
    """,
            "0",
        )


if __name__ == "__main__":
    unittest.main()
