"""A process that takes permits, forks, and goes on in both: its argument is the URL."""

import os
import sys

from tests.support.permit_tables import WINDOW, backends, permit_table


def main(url: str) -> None:
    """Print which server process each of the two has, before and after the other's steps."""
    permits = permit_table(url, calls=9)

    def note(who: str, others: set[int]) -> set[int]:
        permits.renew("ours", [1])
        mine = set(backends(url)) - others
        sys.stdout.write(f"{who} {who}={mine}\n")
        return mine

    permits.take("ours", WINDOW)
    parents = note("parent", set())
    sys.stdout.flush()
    child = os.fork()
    if not child:
        note("child", parents)
        note("child", parents)
        return
    os.waitpid(child, 0)
    permits.take("ours", WINDOW)
    note("parent", set())


if __name__ == "__main__":
    main(sys.argv[1])
