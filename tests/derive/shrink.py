"""Cuts a failing case down to what the failure needs."""

import dataclasses

from case import Run, without_events_of
from changes import Event
from tree import smaller


class Shrinker:
    """Tries smaller cases, at most `tries` of them, and keeps each that fails in the same way."""

    def __init__(self, sessions, case, outcome, tries=500):
        self.sessions, self.case, self.tries = sessions, case, tries
        self.fault = None if outcome.missed else outcome.faults[0][1][:5]  # the SQLSTATE
        self.missed = outcome.missed[0] if outcome.missed else None

    def run(self):
        if self.missed:
            self._keep(dataclasses.replace(without_events_of(self.case, self.missed.feed)))
            self._keep(self._one_window())
            self._keep(dataclasses.replace(self.case, events=self.case.events[: self._last_window() + 1]))
        self._keep(self._one_session())
        before = None
        while before != str(self.case) and self.tries > 0:
            before = str(self.case)
            for part in ("events", "filling", "views", "tables"):
                self._cut(part)
            self._cut_views()
            self._keep(self._one_session())
        return self.case

    def _fails(self, case):
        self.tries -= 1
        if self.tries < 0:
            return False
        outcome = Run(self.sessions, case).go()
        if self.fault:
            return any(message.startswith(self.fault) for _, message in outcome.faults)
        return bool(outcome.missed) and not outcome.faults

    def _keep(self, case):
        if case is None or not self._fails(case):
            return False
        self.case = case
        return True

    def _last_window(self):
        outcome = Run(self.sessions, self.case).go()
        return outcome.missed[0].event if outcome.missed else len(self.case.events)

    def _one_window(self):
        """All the work before the failing window, in that window."""
        events = [event for event in self.case.events[: self.missed.event] if not event.windows]
        return dataclasses.replace(self.case, events=[*events, Event(0, windows=(self.missed.feed,))])

    def _one_session(self):
        """Every statement a transaction of its own."""
        words = ("BEGIN", "COMMIT", "ROLLBACK", "SAVEPOINT", "RELEASE")
        events = [event if event.windows else Event(1, event.sql) for event in self.case.events if not event.sql.startswith(words)]
        return dataclasses.replace(self.case, events=events) if events != self.case.events else None

    def _cut(self, part):
        """Leaves out pieces of a list, large ones first."""
        size = max(1, len(getattr(self.case, part)) // 2)
        while size:
            at = 0
            while at < len(getattr(self.case, part)):
                elements = getattr(self.case, part)
                if not self._keep(dataclasses.replace(self.case, **{part: elements[:at] + elements[at + size:]})):
                    at += size
            size //= 2

    def _cut_views(self):
        for number, view in enumerate(self.case.views):
            again = True
            while again and self.tries > 0:
                again = False
                for query in smaller(self.case.views[number].query):
                    views = list(self.case.views)
                    views[number] = dataclasses.replace(view, query=query)
                    if self._keep(dataclasses.replace(self.case, views=views)):
                        again = True
                        break
