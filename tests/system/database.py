"""One database of a cluster: its sessions, the extension in it, the role of its agents."""

import contextlib

import psycopg2
import psycopg2.extras

import shop

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
