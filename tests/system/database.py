"""One database of a cluster, and the deliveries that a test makes in it."""

import contextlib

import psycopg2
import psycopg2.extras

import shop
from waiting import TooLate, until

AGENT_ROLE = "shipping_agent"  # a login that has the role conveyor_agent and nothing else


def make_template(cluster):
    """The database that each test's own is copied from: the shop, and no extension (a copied one rightly refuses to push)."""
    connection = cluster.connect("postgres")
    with connection.cursor() as cursor:
        cursor.execute("CREATE DATABASE shop_template")
    connection.close()
    connection = cluster.connect("shop_template")
    shop.create(connection)
    connection.close()


class Database:
    def __init__(self, cluster, name):
        self.cluster = cluster
        self.name = name
        self._connection = None

    def connect(self, user="postgres", autocommit=True, options=""):
        return self.cluster.connect(self.name, user, autocommit, options)

    def _session(self):
        if self._connection is None or self._connection.closed:
            self._connection = self.connect()
        return self._connection

    def close(self):
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def sql(self, text, *values):
        """Runs one statement on its own and returns its rows. Never repeated: after a lost connection the caller decides."""
        try:
            with self._session().cursor() as cursor:
                cursor.execute(text, values or None)
                return cursor.fetchall() if cursor.description else []
        except (psycopg2.OperationalError, psycopg2.InterfaceError):
            self.close()
            raise

    def one(self, text, *values):
        rows = self.sql(text, *values)
        return rows[0][0] if rows else None

    def record(self, text, *values):
        """The first row as a dict, or None."""
        with self._session().cursor(cursor_factory=psycopg2.extras.RealDictCursor) as cursor:
            cursor.execute(text, values or None)
            row = cursor.fetchone()
            return dict(row) if row else None

    @contextlib.contextmanager
    def transaction(self, user="postgres", isolation=None):
        """A connection of its own with an open transaction: committed at the end, rolled back on an error."""
        connection = self.connect(user, autocommit=False)
        try:
            if isolation:
                connection.set_session(isolation_level=isolation)
            with connection.cursor() as cursor:
                yield cursor
            connection.commit()
        finally:
            connection.close()

    def install(self):
        self.sql("CREATE EXTENSION pg_conveyor")
        self.sql(
            f"""DO $$ BEGIN
                IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{AGENT_ROLE}') THEN
                    CREATE ROLE {AGENT_ROLE} LOGIN;
                END IF;
                GRANT conveyor_agent TO {AGENT_ROLE};
            END $$"""
        )

    def agent_conninfo(self, port=None):
        return self.cluster.conninfo(self.name, AGENT_ROLE, port)


class Delivery:
    """A delivery of one test: its names on both sides, and how to wait for it."""

    def __init__(self, database, search, name, feed, view, key, alias):
        self.database = database
        self.search = search
        self.name = name
        self.feed = feed
        self.view = view
        self.key = key
        self.alias = alias

    def status(self):
        return self.database.record("SELECT * FROM conveyor.delivery_status WHERE delivery = %s", self.name)

    def state(self):
        return self.status()["state"]

    def dead_letters(self):
        rows = self.database.sql("SELECT key, type, reason FROM conveyor.dead_letter WHERE delivery = %s", self.name)
        return {key: (type, reason) for key, type, reason in rows}

    def wait_state(self, *states, timeout=20):
        return until(lambda: self.state() in states and self.state(), lambda: f"{self.name} is {' or '.join(states)}: {self.status()}", timeout)

    def wait_status(self, condition, what, timeout=20):
        """Waits until `condition(status)` holds, and returns that status."""

        def met():
            status = self.status()
            return status if condition(status) else None

        return until(met, lambda: f"{what}: {self.status()}", timeout)

    def wait_delivered(self, agent=None, timeout=40):
        """Returns when wait_delivered() says that everything committed before has arrived; fails at once when the agent has died."""

        def delivered():
            if agent is not None:
                agent.assert_alive()
            return self.database.one("SELECT conveyor.wait_delivered(%s, '500 ms')", self.name)

        try:
            until(delivered, lambda: f"{self.name} is delivered: {self.status()}", timeout, every=0.01)
        except TooLate as late:
            raise TooLate(f"{late}\n{agent.log_tail() if agent else ''}") from None

    def index(self):
        """The one concrete index behind the alias."""
        names = self.search.alias_indices(self.alias)
        assert len(names) == 1, f"the alias {self.alias} names {names}"
        return names[0]
