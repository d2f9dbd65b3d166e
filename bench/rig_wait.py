"""Waits for a condition: until it holds, or until nothing moves any more. See rig.py.

A fixed number of seconds says how fast the machine is, not whether a program is right. So a wait
ends when its time has passed without a movement: what() says something else each time something has
happened (rows, a metric, the end of a log), and so do the processes that watch() was given. Seconds
count only as far as the machine had time for us: with ten tasks for each processor, a tenth.
"""

import os
import time

# How long nothing may move, where the caller says nothing else.
STILL_S = 60
# Something that moves for so many times as long, and gets nowhere, is at fault as well.
MOVES_MAX = 10
# For tools that tell nothing while they run: it only ends what hangs.
HANGS_S = 1800


class TimedOut(Exception):
    """What was waited for did not come."""


_watched = []


def watch(look):
    """look(): anything that is different once something has moved."""
    _watched.append(look)


def forget(look):
    if look in _watched:
        _watched.remove(look)


def _look(what):
    """Whatever shows a movement."""
    seen = []
    for look in [*_watched, *([what] if callable(what) else [])]:
        try:
            seen.append(look())
        except Exception as e:  # a server that is just being killed says nothing
            seen.append(type(e))
    return seen


class Patience:
    """left() is true until nothing has moved for so many seconds."""

    LOOK_S = 0.5  # at most so often: looking costs as well

    @staticmethod
    def share():
        """The share of a processor for a process that wants it now."""
        return min(1.0, (os.cpu_count() or 1) / max(os.getloadavg()[0], 0.01))

    def __init__(self, seconds=STILL_S, what=None):
        self.seconds, self.what = seconds, what
        self.still = self.total = 0.0
        self.at = self.looked = time.monotonic()
        self.seen = None

    def left(self):
        now = time.monotonic()
        passed = (now - self.at) * self.share()
        self.at = now
        self.still += passed
        self.total += passed
        if now - self.looked > self.LOOK_S:
            self.looked = now
            seen = _look(self.what)
            if self.seen is not None and seen != self.seen:
                self.still = 0.0
            self.seen = seen
        return self.still <= self.seconds and self.total <= self.seconds * MOVES_MAX


def wait_until(condition, timeout=STILL_S, what=""):
    """The first true result of condition(). TimedOut with what (text or function) once nothing has
    moved for timeout seconds."""
    patience = Patience(timeout, what)
    pause = 0.002
    while True:
        result = condition()
        if result:
            return result
        if not patience.left():
            raise TimedOut(f"after {timeout} s: {what() if callable(what) else what}")
        time.sleep(pause)
        # What takes long is asked for less often: looking is work for those that are waited for.
        pause = min(pause * 1.5, 0.1 if patience.total < 10 else 0.5)
