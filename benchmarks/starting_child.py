"""The process that imports one thing, with nothing loaded before: `starting.py` starts it."""

import sys
import time

sys.path.pop(0)  # no import may find the scripts beside this one
statement = sys.argv[1].removeprefix("--contender=")
before = len(sys.modules)
began, cpu = time.perf_counter(), time.process_time()
exec(statement)  # noqa: S102 - as people write it
took, cost = time.perf_counter() - began, time.process_time() - cpu
modules = len(sys.modules) - before
print(f'{{"ms": {1000 * took}, "CPU ms": {1000 * cost}, "modules": {modules}}}')
