"""``python -m benchmarks.compare.bare_argon2``: password checks a second, and nothing else.

With the parameters of the service by default, one after the other.
"""

import sys
import time

from argon2 import PasswordHasher

from authsvc.config import Settings


def rate(seconds: float) -> float:
    """Return how many passwords a second are checked in about so many seconds."""
    wanted = ("argon2_time_cost", "argon2_memory_kib", "argon2_parallelism")
    parameters = [Settings.model_fields[name].default for name in wanted]
    hasher = PasswordHasher(*parameters)
    known = hasher.hash("what is checked")
    done, started = 0, time.perf_counter()
    while (spent := time.perf_counter() - started) < seconds:
        hasher.verify(known, "what is checked")
        done += 1
    return done / spent


if __name__ == "__main__":
    print(rate(float(sys.argv[1])))
