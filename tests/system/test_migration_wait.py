"""wait_finished(): for scripts outside of a transaction. It sees the end, says why there will be none, and holds nobody up meanwhile."""

import threading

import psycopg2
import pytest

from database import Database
from waiting import until


@pytest.fixture(scope="module")
def database(cluster):
    connection = cluster.connect("postgres")
    with connection.cursor() as cursor:
        cursor.execute("CREATE DATABASE migration_wait")
    connection.close()
    database = Database(cluster, "migration_wait")
    database.sql("CREATE EXTENSION pg_conveyor")
    database.sql("CREATE TABLE source (id bigint PRIMARY KEY)")
    yield database
    database.close()


@pytest.fixture
def migration(database):
    """A migration that runs, as far as its state tells; what runners do to it is done by the test."""
    database.sql("SELECT conveyor.create_migration('m')")
    database.sql("SELECT conveyor.add_job('m', 'copy', 'source', 'SELECT FROM batch')")
    database.sql("UPDATE conveyor.migration_state SET state = 'running', started_at = now()")
    database.sql("UPDATE conveyor.job_state SET state = 'running', started_at = now(), exhausted = true")
    yield database
    database.sql("SELECT conveyor.cancel_migration('m') FROM conveyor.migration_state WHERE state IN ('running', 'paused', 'failed')")
    database.sql("SELECT conveyor.drop_migration('m')")


class Waiter(threading.Thread):
    """CALL wait_finished in a session of its own; `error` is what it ended with."""

    def __init__(self, database, timeout, user="postgres"):
        super().__init__()
        self.connection = database.connect(user)
        self.pid = self.connection.info.backend_pid
        self.timeout = timeout
        self.error = None
        self.start()

    def run(self):
        try:
            with self.connection.cursor() as cursor:
                cursor.execute("CALL conveyor.wait_finished('m', %s)", (self.timeout,))
        except psycopg2.Error as error:
            self.error = error
        finally:
            self.connection.close()

    def ended(self):
        self.join(20)
        assert not self.is_alive()
        return self.error


def job_enters(database, state, error=None):
    database.sql("SELECT conveyor.job_enters(id, %s, %s) FROM conveyor.job_definition", state, error)


def test_it_returns_when_the_migration_is_finished_also_through_a_pause(migration):
    waiter = Waiter(migration, "1 min")
    migration.sql("SELECT conveyor.pause_migration('m')")
    migration.sql("UPDATE conveyor.migration_state SET state = 'running', paused_reason = NULL")
    job_enters(migration, "finished")
    assert waiter.ended() is None


def test_a_failure_ends_it_with_what_to_run_next(migration):
    waiter = Waiter(migration, "1 min")
    job_enters(migration, "failed", "disk full")
    error = waiter.ended()
    assert error.diag.message_primary == 'migration "m" is not finished: it is failed'
    assert "Error: copy: disk full." in error.diag.message_detail
    assert "SELECT conveyor.retry_migration('m')" in error.diag.message_hint


def test_the_timeout_ends_it(migration):
    error = Waiter(migration, "10 ms").ended()
    assert error.diag.message_primary == 'migration "m" is not finished after 00:00:00.01: it is running'
    assert error.diag.message_hint == "Run CALL conveyor.wait_finished('m', '1 h')."


def test_a_reader_may_wait(migration):
    migration.sql("CREATE ROLE waiting_reader LOGIN")
    migration.sql("GRANT conveyor_reader TO waiting_reader")
    waiter = Waiter(migration, "1 min", "waiting_reader")
    job_enters(migration, "finished")
    assert waiter.ended() is None
    migration.sql("DROP ROLE waiting_reader")


def test_what_waits_for_old_snapshots_does_not_wait_for_it(migration):
    """CREATE INDEX CONCURRENTLY waits until every snapshot older than its own is gone: beside a waiter it must come to its end."""
    waiter = Waiter(migration, "1 min")
    until(lambda: migration.one("SELECT query LIKE 'CALL%%' FROM pg_stat_activity WHERE pid = %s", waiter.pid), "it waits")
    migration.sql("SET statement_timeout = '20 s'")
    migration.sql("CREATE INDEX CONCURRENTLY source_again ON source (id)")
    migration.sql("RESET statement_timeout")
    assert waiter.is_alive()
    migration.sql("DROP INDEX source_again")
    job_enters(migration, "finished")
    assert waiter.ended() is None


def test_in_a_transaction_it_is_refused(migration):
    connection = migration.connect(autocommit=False)
    with connection.cursor() as cursor, pytest.raises(psycopg2.errors.ActiveSqlTransaction) as refused:
        cursor.execute("CALL conveyor.wait_finished('m', '1 min')")
    assert "executeInTransaction=false" in refused.value.diag.message_hint
    connection.close()
