"""A task waits for a task of the same pool, whose only worker runs the first."""

from concurrent.futures import ThreadPoolExecutor

pool = ThreadPoolExecutor(max_workers=1)


def page():
    part = pool.submit(str.upper, "part")
    return part.result() + " of a page"


print(pool.submit(page).result())
