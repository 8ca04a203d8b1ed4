"""ROS domains for tests: no two tests of a process share one, and nobody of an earlier test is left in it."""

import gc
import itertools
import os

_numbers = itertools.count()


def new_domain() -> int:
    """Return a domain from 1 to 100; above 101 a domain's ports meet those of other programs."""
    gc.collect()  # nodes refer to themselves: until they are collected their participants stay
    return 1 + (os.getpid() * 7 + next(_numbers)) % 100
