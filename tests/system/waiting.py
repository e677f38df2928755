"""All waiting of the system tests: poll until a deadline, never sleep for a fixed time."""

import time


class TooLate(AssertionError):
    """What a test waited for did not happen in time."""


def describe(what):
    return what() if callable(what) else what


def until(condition, what, timeout=20.0, every=0.05):
    """Polls `condition` until it is true and returns its value; `what` (text, or a function that returns text) names it in the failure."""
    deadline = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise TooLate(f"not within {timeout:g} s: {describe(what)}")
        time.sleep(every)


def holds(condition, what, seconds, every=0.1):
    """Asserts that `condition` is true throughout the next `seconds`: for what must not happen."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        assert condition(), describe(what)
        time.sleep(every)
