"""The processor time that something takes."""

import time
from collections.abc import Callable


def effort(work: Callable[[], object]) -> float:
    """Return the seconds of CPU that something takes, best of three."""

    def once() -> float:
        began = time.process_time()
        work()
        return time.process_time() - began

    return min(once() for _ in range(3))
