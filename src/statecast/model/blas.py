"""NumPy's matrix products in one thread.

What is multiplied here are many small matrices. The threads of OpenBLAS wait for each other in a loop, which costs more
than they save: on two busy processors a fit of 414 series took three times the processor time, and ten times as long.
Where products are large, callers run several of them side by side. As nothing is split by the number of processors,
sums do not depend on it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from threading import Lock
from typing import Any, TypeVar

from threadpoolctl import ThreadpoolController

from statecast.model.kernel.library import threads

Item = TypeVar("Item")
Result = TypeVar("Result")

AHEAD = 1  # items of each thread that are worked on before they are needed
MOST = 8  # threads, as each of them holds the arrays of an item: memory must not grow with the processors
_LIMITED = Lock()


@cache
def _libraries() -> Any:
    return ThreadpoolController().select(user_api="blas")


@contextmanager
def one_thread() -> Iterator[None]:
    """While it lasts, matrix products of the process take one thread each.

    The limit is that of whoever asked first, and ends with that call: OpenBLAS may ignore it where another thread takes
    it back. Calls that go on beyond it are slower and no worse.
    """
    if not _LIMITED.acquire(blocking=False):
        yield
        return
    try:
        with _libraries().limit(limits=1):
            yield
    finally:
        _LIMITED.release()


def side_by_side(function: Callable[[Item], Result], items: Iterable[Item], limit: int | None) -> Iterator[Result]:
    """What a function makes of each item, in their order, worked out by several threads.

    Args:
        function: what is called; it does most of its work outside of the interpreter's lock, as NumPy's products do.
        items: its arguments, taken as they are needed.
        limit: most threads, see `threads`; no more than `MOST` in any case.
    """
    count = min(threads(limit), MOST)
    if count == 1:
        yield from map(function, items)
        return
    with ThreadPoolExecutor(count) as pool:
        waiting: list[Future[Result]] = []
        for item in items:
            waiting.append(pool.submit(function, item))
            if len(waiting) > AHEAD * count:
                yield waiting.pop(0).result()
        yield from (future.result() for future in waiting)
