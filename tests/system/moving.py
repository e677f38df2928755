"""A migration that can be checked row by row: each row of `account` counts how often a batch has touched it, while writers move money
between the rows. Whatever happens, the sum stays and each count is one in the end."""

import random
import threading

import psycopg2
import psycopg2.errors
import psycopg2.extras

from database import Database
from waiting import until

OWNER = "mover"
STATEMENT = "UPDATE account a SET times = a.times + 1, name = 'account ' || a.id FROM batch b WHERE b.id = a.id"
SETTINGS = {"max_worker_processes": "6", "deadlock_timeout": "'20ms'", "log_min_messages": "info"}


class Moving:
    def __init__(self, cluster, name, rows=4000):
        self.rows = rows
        self.sum = rows * 100
        connection = cluster.connect("postgres")
        with connection.cursor() as cursor:
            cursor.execute(f'CREATE DATABASE "{name}"')
        connection.close()
        self.database = Database(cluster, name)
        self.database.sql("CREATE EXTENSION pg_conveyor")
        self.database.sql(
            f"DO $$ BEGIN IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{OWNER}') THEN CREATE ROLE {OWNER} LOGIN; END IF; END $$"
        )
        self.database.sql(f"GRANT conveyor_operator TO {OWNER}")
        self.database.sql(f"GRANT ALL ON SCHEMA public TO {OWNER}")
        self.as_owner("CREATE TABLE account (id int PRIMARY KEY, amount int NOT NULL, times int NOT NULL DEFAULT 0, name text)")
        self.as_owner("INSERT INTO account SELECT g, 100 FROM generate_series(1, %s) g", rows)
        self.as_owner("VACUUM ANALYZE account")

    def as_owner(self, text, *values):
        connection = self.database.connect(OWNER)
        try:
            with connection.cursor() as cursor:
                cursor.execute(text, values or None)
                return cursor.fetchall() if cursor.description else []
        finally:
            connection.close()

    def define(self, migration="m", statement=STATEMENT, workers=2, batch=50, **options):
        """A migration with one job whose batches keep their size."""
        self.as_owner("SELECT conveyor.create_migration(%s)", migration)
        options = {"batch_size": batch, "min_batch_size": batch, "max_batch_size": batch, "retry_delay": "5 ms", "lock_timeout": "200 ms", **options}
        self.as_owner(
            "SELECT conveyor.add_job(%s, 'move', 'account', %s, workers => %s, options => %s)",
            migration, statement, workers, psycopg2.extras.Json(options),
        )

    def start(self, migration="m"):
        self.as_owner("SELECT conveyor.start_migration(%s)", migration)

    def pause_and_resume(self, meanwhile=lambda: None):
        """Unless it has finished by then."""
        for verb in ("pause", "resume"):
            try:
                self.as_owner(f"SELECT conveyor.{verb}_migration('m')")
            except psycopg2.errors.ObjectNotInPrerequisiteState:
                assert self.state() == "finished", self.describe()
            if verb == "pause":
                meanwhile()

    def tick(self):
        self.database.sql("SELECT conveyor.tick()")

    def job(self, column, migration="m"):
        return self.database.one(f"SELECT {column} FROM conveyor.job_status WHERE migration = %s", migration)

    def state(self, migration="m"):
        return self.database.one("SELECT state FROM conveyor.migration_status WHERE migration = %s", migration)

    def describe(self, migration="m"):
        return str(self.database.record("SELECT * FROM conveyor.job_status WHERE migration = %s", migration)) + self.database.cluster.log_tail()

    def workers(self):
        return [pid for (pid,) in self.database.sql("SELECT pid FROM pg_stat_activity WHERE backend_type = 'conveyor migration' AND datname = current_database()")]

    def progressed(self, since, rows=100):
        return lambda: self.job("rows_done") >= min(since + rows, self.rows) or self.state() != "running"

    def finish(self, migration="m", timeout=60):
        """Ticks until it is finished, as an agent would."""

        def done():
            self.tick()
            return self.state(migration) in ("finished", "failed")

        until(done, lambda: self.describe(migration), timeout)
        assert self.state(migration) == "finished", self.describe(migration)

    def assert_each_once(self):
        assert self.database.sql("SELECT times, count(*) FROM account GROUP BY times") == [(1, self.rows)]
        assert self.database.one("SELECT sum(amount) FROM account") == self.sum
        assert self.database.one("SELECT sum(rows_done) FROM conveyor.job_worker") == self.rows
        assert self.database.one("SELECT count(*) FROM conveyor.job_range") == 0
        assert self.database.one("SELECT count(*) FROM conveyor.dead_row") == 0


class Writers:
    """Sessions that move money between random accounts, in random order, so that they run into each other and into batches. They connect
    again when the server throws them out."""

    def __init__(self, moving, count=4):
        self._moving = moving
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._work, args=(number,)) for number in range(count)]
        self.committed = 0

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self._over.set()
        for thread in self._threads:
            thread.join()

    def _work(self, number):
        chance = random.Random(number)
        while not self._over.is_set():
            try:
                connection = self._moving.database.connect(autocommit=False)
            except psycopg2.OperationalError:
                self._over.wait(0.05)
                continue
            try:
                while not self._over.is_set():
                    self._transfer(connection, chance)
                    self.committed += 1
                    self._over.wait(0.002)
            except psycopg2.Error:
                pass  # a deadlock, or the server restarts: what was not committed did not happen
            finally:
                connection.close()

    def _transfer(self, connection, chance):
        one, other = chance.sample(range(1, self._moving.rows + 1), 2)
        with connection.cursor() as cursor:
            cursor.execute("UPDATE account SET amount = amount - 1 WHERE id = %s", (one,))
            cursor.execute("UPDATE account SET amount = amount + 1 WHERE id = %s", (other,))
        connection.commit()
