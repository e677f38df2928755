"""A table is moved beside live writers: copied by two workers, followed, cut over in a moment. Nothing is lost, whatever is killed meanwhile."""

import json
import random
import threading
import time

import psycopg2
import pytest

from database import Database
from waiting import holds, until

ROWS = 30000
OWNER = "mover"
STATEMENT = """INSERT INTO account_new (id, name, n) SELECT id, name, n FROM batch
    ON CONFLICT (id) DO UPDATE SET name = excluded.name, n = excluded.n"""
DELETE = "DELETE FROM account_new t USING gone WHERE t.id = gone.id"
# What differs at the moment of the cutover is kept: the writers go on with the new table at once.
CUTOVER = """
    CREATE TABLE account_difference AS
        SELECT id FROM account o FULL JOIN account_new n USING (id) WHERE (o.name, o.n) IS DISTINCT FROM (n.name, n.n);
    CREATE TABLE account_count AS SELECT count(*) AS rows FROM account_new;
    ALTER TABLE account RENAME TO account_old;
    ALTER TABLE account_new RENAME TO account"""


@pytest.fixture(scope="module")
def server(make_cluster):
    cluster = make_cluster("followed", {"max_worker_processes": "20", "autovacuum_naptime": "5s"})
    connection = cluster.connect("postgres")
    with connection.cursor() as cursor:
        cursor.execute(f"CREATE ROLE {OWNER} LOGIN")
    connection.close()
    return cluster


@pytest.fixture
def database(server, request):
    name = request.node.name
    connection = server.connect("postgres")
    with connection.cursor() as cursor:
        cursor.execute(f"CREATE DATABASE {name}")
    connection.close()
    database = Database(server, name)
    database.sql("CREATE EXTENSION pg_conveyor")
    database.sql(f"GRANT conveyor_operator TO {OWNER}")
    database.sql(f"GRANT ALL ON SCHEMA public TO {OWNER}")
    with database.transaction(OWNER) as cursor:
        cursor.execute("CREATE TABLE account (id int PRIMARY KEY, name text NOT NULL, n bigint NOT NULL)")
        cursor.execute("INSERT INTO account SELECT g, 'name ' || g, 1 FROM generate_series(1, %s) AS g", (ROWS,))
        cursor.execute("CREATE TABLE account_new (LIKE account INCLUDING ALL)")
        cursor.execute("SELECT conveyor.create_migration('accounts', %s)", ('{"target_duration": "50 ms", "max_batch_size": 500}',))
        cursor.execute(
            "SELECT conveyor.add_job('accounts', 'copy', 'account', %s, workers => 2, follow => true, options => jsonb_build_object('delete_statement', %s))",
            (STATEMENT, DELETE),
        )
    yield database
    database.close()


class Writers:
    """Four clients that insert, change, rename and delete rows of `account`, and remember what that adds up to."""

    def __init__(self, database):
        self.database = database
        self.stopped = threading.Event()
        self.lock = threading.Lock()
        self.added = 0  # to the sum of n, by committed transactions
        self.unknown = 0  # transactions whose end nobody has told
        self.longest = 0.0  # seconds that a transaction took, with what it waited
        self.transactions = 0
        self.errors = []
        self.threads = [threading.Thread(target=self.run, args=(number,)) for number in range(4)]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.stopped.set()
        for thread in self.threads:
            thread.join()

    def forget_longest(self):
        with self.lock:
            self.longest = 0.0

    def run(self, number):
        luck = random.Random(number)
        connection = None
        while not self.stopped.is_set():
            began = time.monotonic()
            try:
                if connection is None:
                    connection = self.database.connect(OWNER, autocommit=False)
                with connection.cursor() as cursor:
                    added = self.change(cursor, luck, number)
                connection.commit()
                with self.lock:
                    self.added += added
                    self.transactions += 1
                    self.longest = max(self.longest, time.monotonic() - began)
            except (psycopg2.errors.UniqueViolation, psycopg2.errors.DeadlockDetected):
                connection.rollback()
            except (psycopg2.OperationalError, psycopg2.InterfaceError):
                self.unknown += 1
                connection = None
                time.sleep(0.1)
            except psycopg2.Error as error:
                self.errors.append(error)
                return
        if connection is not None:
            connection.close()

    @staticmethod
    def change(cursor, luck, number):
        some = luck.randint(1, ROWS)
        kind = luck.random()
        if kind < 0.5:
            cursor.execute("UPDATE account SET n = n + 1 WHERE id BETWEEN %s AND %s", (some, some + luck.randint(0, 3)))
            return cursor.rowcount
        if kind < 0.7:
            cursor.execute("INSERT INTO account VALUES (%s, 'new', 5) ON CONFLICT DO NOTHING", (luck.randint(1, 2 * ROWS),))
            return 5 * cursor.rowcount
        if kind < 0.9:
            cursor.execute("DELETE FROM account WHERE id = %s RETURNING n", (some,))
            return -sum(n for (n,) in cursor.fetchall())
        cursor.execute("UPDATE account SET id = %s, name = name || '!' WHERE id = %s", (luck.randint(ROWS, 2 * ROWS), some))
        return 0


def state(database):
    return database.record("SELECT state, percent, lag, warning, last_error, throttle FROM conveyor.job_status")


def tick(database):
    """What the agent does once a second: restarts what was killed."""
    database.sql("SELECT conveyor.tick()")


def finish(database):
    """Calls it until it succeeds; returns its last notice."""
    connection = database.connect(OWNER)

    def done():
        try:
            with connection.cursor() as cursor:
                cursor.execute("CALL conveyor.finish_migration('accounts', %s)", (CUTOVER,))
            return True
        except (psycopg2.errors.LockNotAvailable, psycopg2.errors.DeadlockDetected, psycopg2.errors.SerializationFailure):
            return False

    until(done, "the migration is finished", 60)
    notice = connection.notices[-1]
    connection.close()
    return notice


def check_cut_over(database):
    assert database.sql("SELECT id FROM account_difference") == []
    assert database.one("SELECT rows FROM account_count") == database.one("SELECT count(*) FROM account_old"), "nobody wrote to the old table afterwards"
    assert database.one("SELECT state FROM conveyor.migration_status") == "finished"
    until(lambda: tick(database) or not database.sql("SELECT 1 FROM pg_trigger WHERE tgname LIKE 'conveyor%'"), "the capture is off", 20)


def test_writers_go_on_while_their_table_is_moved(database, capsys):
    before = database.one("SELECT sum(n) FROM account")
    with Writers(database) as writers:
        until(lambda: writers.transactions > 50, "the writers are at work")
        with database.transaction(OWNER) as cursor:
            cursor.execute("SELECT conveyor.start_migration('accounts')")
        until(lambda: (state(database)["percent"] or 0) > 10, lambda: f"the copy gets on: {state(database)}", 60)
        # One of the sessions at work after the other, the follower's among them; what they had not committed comes again.
        for _ in range(6):
            database.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND backend_type = 'conveyor migration' ORDER BY random() LIMIT 1")
            time.sleep(0.2)
            tick(database)
        until(lambda: tick(database) or state(database)["state"] == "following", lambda: f"the copy is done: {state(database)}", 120)
        done = writers.transactions
        until(lambda: writers.transactions > done + 100, "the writers are still at work")
        writers.forget_longest()
        notice = finish(database)
        done = writers.transactions
        until(lambda: writers.transactions > done + 100, "the writers are at work in the new table")
        longest = writers.longest
    assert writers.errors == []
    assert writers.unknown == 0
    with capsys.disabled():
        print(f"\n    cutover: the longest transaction of 4 writers took {1000 * longest:.0f} ms; {notice.split(';')[-1].strip()}", flush=True)
    assert longest < 30
    check_cut_over(database)
    assert database.one("SELECT sum(n) FROM account") == before + writers.added, "every change of the writers is there once"


def test_nothing_is_lost_when_the_server_crashes_in_the_middle_of_windows_and_batches(database, server):
    with Writers(database) as writers:
        with database.transaction(OWNER) as cursor:
            cursor.execute("SELECT conveyor.start_migration('accounts')")
        for place in ("follow_window", "follow_slice", "migrate_checkpoint", "follow_commit"):
            database.sql(f"ALTER ROLE {OWNER} IN DATABASE {database.name} SET conveyor.failpoint = '{place}=kill'")
            with server.restarting():
                # Who starts from now on dies there, and takes everybody with him.
                database.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND backend_type = 'conveyor migration'")
                until(lambda: crashes(database), f"a worker dies at {place}", 60)
            until(lambda: resets(database), "the failpoint is taken off", 30)
        until(lambda: tick(database) or state(database)["state"] == "following", lambda: f"the copy is done: {state(database)}", 120)
        finish(database)
    assert writers.errors == []
    check_cut_over(database)


def crashes(database):
    """Brings workers up until the server is down."""
    try:
        tick(database)
        return False
    except psycopg2.Error:
        return True


def resets(database):
    try:
        database.sql(f"ALTER ROLE {OWNER} IN DATABASE {database.name} RESET conveyor.failpoint")
        return True
    except psycopg2.Error:
        return False


def test_a_follower_that_is_killed_is_replaced_and_goes_on_where_the_last_window_ended(database):
    with database.transaction(OWNER) as cursor:
        cursor.execute("SELECT conveyor.start_migration('accounts')")
    until(lambda: state(database)["state"] == "following", lambda: f"the copy is done: {state(database)}", 60)
    follower = "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 104 AND granted AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
    first = until(lambda: database.one(follower), "there is a follower")
    database.sql("SELECT pg_terminate_backend(%s)", first)
    until(lambda: database.one(follower) != first, "it is gone")
    database.sql("UPDATE account SET n = n + 1 WHERE id <= 100")
    assert state(database)["lag"].total_seconds() > 0
    until(lambda: tick(database) or state(database)["lag"].total_seconds() == 0, "another one goes on", 30)
    assert database.one("SELECT count(*) FROM account_new WHERE n = 2") == 100
    with database.transaction(OWNER) as cursor:
        cursor.execute("SELECT * FROM conveyor.verify_job('accounts', 'copy', 'SELECT id, name, n FROM account_new')")
        assert cursor.fetchall() == []


def test_a_session_that_dies_while_it_finishes_leaves_the_migration_running(database, server):
    with database.transaction(OWNER) as cursor:
        cursor.execute("SELECT conveyor.start_migration('accounts')")
    until(lambda: state(database)["state"] == "following", lambda: f"the copy is done: {state(database)}", 60)
    connection = database.connect(OWNER)
    pid = connection.info.backend_pid

    def call():
        with pytest.raises(psycopg2.Error), connection.cursor() as cursor:
            cursor.execute("CALL conveyor.finish_migration('accounts', 'SELECT pg_sleep(60)')")

    thread = threading.Thread(target=call)
    thread.start()
    until(lambda: database.one("SELECT query LIKE '%%pg_sleep%%' AND state = 'active' AND wait_event = 'PgSleep' FROM pg_stat_activity WHERE pid = %s", pid), "it is at the cutover")
    assert database.one("SELECT state FROM conveyor.migration_status") == "finishing"
    database.sql("SELECT pg_terminate_backend(%s)", pid)
    thread.join()
    until(lambda: tick(database) or database.one("SELECT state FROM conveyor.migration_status") == "running", "the migration runs on")
    finish(database)
    check_cut_over(database)


def follow(database, **options):
    """The copy is done, and the job follows its source; with these options from then on."""
    with database.transaction(OWNER) as cursor:
        cursor.execute("SELECT conveyor.start_migration('accounts')")
    until(lambda: state(database)["state"] == "following", lambda: f"the copy is done: {state(database)}", 60)
    with database.transaction(OWNER) as cursor:
        cursor.execute("SELECT conveyor.alter_job('accounts', 'copy', %s)", (json.dumps(options),))


def pending(database):
    return database.one("SELECT pending FROM conveyor.job_status")


def differences(database):
    return database.one("SELECT count(*) FROM account o FULL JOIN account_new n USING (id) WHERE (o.name, o.n) IS DISTINCT FROM (n.name, n.n)")


FOLLOWER = "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 104 AND granted AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"


def test_a_large_transaction_is_applied_in_slices_that_stay_done_when_the_follower_is_killed(database):
    follow(database, rate=200)
    database.sql("UPDATE account SET n = n + 1 WHERE id <= 5000")
    assert pending(database) == 5000
    until(lambda: pending(database) <= 4800, "the first slice is applied")
    before = pending(database)
    follower = database.one(FOLLOWER)
    database.sql("SELECT pg_terminate_backend(%s)", follower)
    until(lambda: database.one(FOLLOWER) != follower, "it is gone")
    left = pending(database)
    assert 0 < left <= before, "what it had applied counts"
    assert 5000 - left <= database.one("SELECT count(*) FROM account_new WHERE n = 2") < 5000
    database.sql("UPDATE account_new SET name = 'applied' WHERE n = 2")
    with database.transaction(OWNER) as cursor:
        cursor.execute("SELECT conveyor.alter_job('accounts', 'copy', '{\"rate\": null}')")
    until(lambda: tick(database) or pending(database) == 0, lambda: f"another one applies the rest: {state(database)}", 30)
    assert database.one("SELECT count(*) FROM account_new WHERE n = 2") == 5000
    assert database.one("SELECT count(*) FROM account_new WHERE name = 'applied'") >= 5000 - left, "no slice that was done is done again"


def test_a_throttle_holds_the_windows_and_is_told(database):
    with database.transaction(OWNER) as cursor:
        cursor.execute("CREATE TABLE closed (why text)")
    follow(database, throttle_query="SELECT why FROM public.closed")
    database.sql("INSERT INTO closed VALUES ('month end')")

    def told_when_something_changes():
        database.sql("UPDATE account SET n = n + 1 WHERE id = 1")
        return "month end" in (state(database)["throttle"] or "")

    until(told_when_something_changes, lambda: f"the throttle is told: {state(database)}")
    database.sql("UPDATE account SET n = n + 1 WHERE id = 2")
    assert pending(database) >= 1
    holds(lambda: differences(database) > 0, "it is not applied", 1.5)
    database.sql("DELETE FROM closed")
    until(lambda: pending(database) == 0 and state(database)["throttle"] is None, lambda: f"it goes on: {state(database)}")
    assert differences(database) == 0


def test_a_key_that_takes_too_long_becomes_a_dead_row_and_the_others_are_applied(database):
    with database.transaction(OWNER) as cursor:
        cursor.execute("CREATE FUNCTION slowly() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(60); RETURN NEW; END $$")
        cursor.execute("CREATE TRIGGER slowly BEFORE INSERT ON account_new FOR EACH ROW WHEN (NEW.name = 'slow') EXECUTE FUNCTION slowly()")
    follow(database, statement_timeout="200 ms", max_attempts=2, retry_delay="1 ms", max_retry_delay="100 ms")
    database.sql("UPDATE account SET n = 2, name = CASE id WHEN 77 THEN 'slow' ELSE name END WHERE id <= 100")
    until(lambda: pending(database) == 0, lambda: f"the window is over: {state(database)}", 60)
    assert database.sql("SELECT key, sqlstate FROM conveyor.dead_row") == [("77", "57014")]
    assert database.one("SELECT count(*) FROM account_new WHERE n = 2") == 99
    assert "statement_timeout" in state(database)["last_error"]
