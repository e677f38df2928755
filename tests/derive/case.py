"""A case: tables, views with a feed each, and work on the tables, all of it from one number; and what comes out when it is run.

The judge: between two windows of a feed, every document whose contents in the view are not what they were must be among the keys that
conveyor.window_keys() reports for the second. Both go through what the product does: triggers, log, window, key queries.
"""

import collections
import dataclasses
import random

import psycopg2

from changes import Event, Work, filling
from documents import Documents
from tables import random_tables

SCHEMA = "generated"
# What a statement of several sessions may run into. Anything else is a fault of the generator, or of the product.
HARMLESS = {"25P02", "55P03", "40001", "40P01", "23505", "3B001", "25P01"}


@dataclasses.dataclass
class Case:
    seed: int
    tables: list
    views: list
    filling: list
    events: list
    mutation: object = None  # what is done to the derived watches before the work begins


@dataclasses.dataclass
class Missed:
    """A feed whose window did not report documents that changed."""

    feed: str
    event: int
    keys: list
    reported: list
    contents: dict  # key: (before, after)


@dataclasses.dataclass
class Outcome:
    missed: list = dataclasses.field(default_factory=list)
    refused: list = dataclasses.field(default_factory=list)  # (view, message)
    faults: list = dataclasses.field(default_factory=list)  # what must not happen: (what, message)
    counts: collections.Counter = dataclasses.field(default_factory=collections.Counter)

    @property
    def failed(self):
        return bool(self.missed or self.faults)


def generate(seed, windows=12):
    chance = random.Random(seed)
    tables = random_tables(chance)
    documents = Documents(chance, tables)
    views = [documents.make() for _ in range(chance.randint(2, 4))]
    work = Work(chance, tables, [view.name for view in views])
    return Case(seed, tables, views, filling(chance, tables), work.make(windows))


class Sessions:
    """Connections to one database: the one that defines and reads, and those of the work."""

    def __init__(self, connect, schema=SCHEMA):
        self._connect, self._schema = connect, schema
        self._opened = {}

    def of(self, number):
        if number not in self._opened:
            options = f"-c search_path={self._schema} -c jit=off -c lock_timeout=10ms -c TimeZone=UTC"
            self._opened[number] = connection = self._connect(options)
            connection.autocommit = True
        return self._opened[number]

    def execute(self, text, values=None, session=0):
        with self.of(session).cursor() as cursor:
            cursor.execute(text, values)
            return cursor.fetchall() if cursor.description else []

    def rest(self):
        """Ends what a cut-down or a failing case may have left open."""
        for number in self._opened:
            self.execute("ROLLBACK", session=number)

    def close(self):
        for connection in self._opened.values():
            connection.close()
        self._opened = {}


def create_feed(sessions, view):
    """As a user would: nothing but the view's name, and its key where it is no table's."""
    sessions.execute("SELECT conveyor.create_feed(%s, %s, %s)", (view.name, view.name, [column.strip('"') for column in view.key]))
    deliver(sessions, view.name)


def deliver(sessions, feed):
    """A delivery is what has a cursor; no agent runs, so its target is never asked for."""
    sessions.execute("SELECT conveyor.create_delivery(%s, %s, 'nowhere')", (feed, feed))


def key_expression(key):
    if len(key) == 1:
        return f"v.{key[0]}::text"
    return "array_to_json(ARRAY[{}])::text".format(", ".join(f"v.{column}::text" for column in key))


def contents(sessions, view):
    """{key: documents}; a view without a unique key has several. Rows without a key are no documents."""
    found = collections.defaultdict(list)
    for key, document in sessions.execute(f"SELECT {key_expression(view.key)}, row_to_json(v)::text FROM {view.name} AS v "
                                          f"WHERE ({' AND '.join(f'v.{column} IS NOT NULL' for column in view.key)})"):
        found[key].append(document)
    return {key: sorted(documents) for key, documents in found.items()}


def window(sessions, feed):
    """What the feed's delivery is told about the changes behind its cursor: (keys, reasons to re-check); moves the cursor."""
    # In a transaction of its own that only reads, as the agent does it.
    sessions.execute("BEGIN READ ONLY")
    records = sessions.execute("SELECT kind, key, body FROM (SELECT conveyor.window_keys(%s) AS f) AS w, conveyor.frame_records(f)", (feed,))
    sessions.execute("COMMIT")
    snapshot = next(body for kind, _, body in records if kind == "h")
    sessions.execute("UPDATE conveyor.delivery_state SET cursor = %s::pg_snapshot WHERE delivery = %s", (snapshot, feed))
    return {key for kind, key, _ in records if kind == "k"}, [body for kind, _, body in records if kind == "s"]


class Run:
    """One case in a database that has the extension and the target `nowhere`."""

    def __init__(self, sessions, case):
        self.sessions, self.case, self.outcome = sessions, case, Outcome()
        self.feeds, self.before = {}, {}

    def go(self):
        self.sessions.execute(f"CREATE SCHEMA {SCHEMA}")
        try:
            self._define()
            for number, event in enumerate(self.case.events):
                self._do(number, event)
        except psycopg2.Error as error:
            self.outcome.faults.append(("the case cannot be run", f"{error.pgcode} {error}"))
        finally:
            self._clean()
        return self.outcome

    def _define(self):
        for table in self.case.tables:
            for text in table.ddl():
                self.sessions.execute(text)
        for text in self.case.filling:
            self.sessions.execute(text)
        for view in self.case.views:
            self.sessions.execute(view.ddl())
        for view in self.case.views:
            if view.feed:
                self._feed(view)
        if self.case.mutation:
            self.case.mutation(self.sessions)
        for feed in self.feeds:
            window(self.sessions, feed)

    def _feed(self, view):
        try:
            before = contents(self.sessions, view)
        except psycopg2.errors.FeatureNotSupported:  # a FULL JOIN whose conditions cannot be hashed
            self.outcome.counts["views that cannot be read"] += 1
            return
        self.outcome.counts["views"] += 1
        try:
            create_feed(self.sessions, view)
        except psycopg2.Error as error:
            if error.pgcode in ("XX000", "57P01", None):
                raise
            self.outcome.refused.append((view, f"{error.pgcode} {error.diag.message_primary}"))
            self.sessions.execute("SELECT conveyor.drop_feed(%s) FROM conveyor.feed_definition WHERE feed = %s", (view.name, view.name))
            return
        self.feeds[view.name], self.before[view.name] = view, before

    def _do(self, number, event):
        if event.windows:
            for feed in event.windows:
                if feed in self.feeds:
                    self._compare(number, feed)
            return
        self.outcome.counts["statements"] += 1
        try:
            self.sessions.execute(event.sql, session=event.session)
        except psycopg2.Error as error:
            if error.pgcode not in HARMLESS:
                raise
            self.outcome.counts["statements that failed"] += 1

    def _compare(self, number, feed):
        reported, signals = window(self.sessions, feed)
        before, after = self.before[feed], contents(self.sessions, self.feeds[feed])
        self.before[feed] = after
        changed = {key for key in before.keys() | after.keys() if before.get(key) != after.get(key)}
        counts = self.outcome.counts
        counts["cases"] += 1
        if signals:
            counts["re-checks"] += 1
            return
        counts["cases with changed documents"] += bool(changed)
        counts["changed"] += len(changed)
        counts["reported"] += len(reported)
        counts["unneeded"] += len(reported - changed)
        counts["documents"] += len(before)
        missed = changed - reported
        if missed:
            shown = {key: (before.get(key), after.get(key)) for key in sorted(missed)[:3]}
            self.outcome.missed.append(Missed(feed, number, sorted(missed), sorted(reported), shown))

    def _clean(self):
        self.sessions.rest()
        for feed in self.feeds:
            self.sessions.execute("SELECT conveyor.drop_delivery(%s)", (feed,))
            self.sessions.execute("SELECT conveyor.drop_feed(%s)", (feed,))
        self.sessions.execute("SET client_min_messages = warning")
        self.sessions.execute(f"DROP SCHEMA {SCHEMA} CASCADE")
        self.sessions.execute("SELECT conveyor.log_rotate()")


def without_events_of(case, feed):
    """The case for one feed alone: the other feeds, and the windows of others, are left out."""
    events = [event if not event.windows else Event(0, windows=(feed,)) for event in case.events if not event.windows or feed in event.windows]
    views = [dataclasses.replace(view, feed=view.name == feed) for view in case.views]
    return dataclasses.replace(case, views=views, events=events)
