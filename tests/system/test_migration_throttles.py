"""What holds the batches of a migration back, where it takes a real standby, a real archiver and a real autovacuum worker."""

import json

import pytest

from database import Database
from waiting import until

STATEMENT = "INSERT INTO target SELECT id, filler FROM batch"


@pytest.fixture(scope="module")
def primary(make_cluster):
    return make_cluster(
        "throttled",
        {
            "archive_mode": "on",
            "archive_command": "'true'",
            "autovacuum_naptime": "1s",
            "wal_receiver_status_interval": "1s",
            "max_wal_size": "'1GB'",
        },
    )


@pytest.fixture(scope="module")
def job(primary):
    """A job of a migration of its own, with the limits that a test gives it."""
    database = Database(primary, "throttled")
    connection = primary.connect("postgres")
    with connection.cursor() as cursor:
        cursor.execute("CREATE DATABASE throttled")
    connection.close()
    database.sql("CREATE EXTENSION pg_conveyor")
    database.sql("CREATE TABLE source (id bigint PRIMARY KEY, filler text)")
    database.sql("CREATE TABLE target (LIKE source INCLUDING ALL)")
    database.sql("SELECT conveyor.create_migration('m')")
    database.sql("SELECT conveyor.add_job('m', 'copy', 'source', %s)", STATEMENT)
    yield Job(database)
    database.close()


class Job:
    def __init__(self, database):
        self.database = database

    def limit(self, **limits):
        """Only these throttles are looked at."""
        self.database.sql(
            "SELECT conveyor.alter_job('m', 'copy', jsonb_build_object('throttles', "
            "(SELECT jsonb_object_agg(name, false) FROM conveyor.throttle_kind) || %s))",
            json.dumps(limits),
        )

    def throttle(self):
        return self.database.one("SELECT conveyor.job_throttle(id) FROM conveyor.job_definition WHERE job = 'copy'")

    def held_by(self, text, timeout=20):
        return until(lambda: text in (self.throttle() or ""), lambda: f"the job is held by {text!r}, not by {self.throttle()!r}", timeout)

    def free(self, timeout=20):
        return until(lambda: self.throttle() is None, lambda: f"nothing holds the job, but {self.throttle()!r} does", timeout)

    def write_wal(self, megabytes):
        self.database.sql("SELECT pg_logical_emit_message(false, 'filler', repeat('x', 1000000)) FROM generate_series(1, %s)", megabytes)


@pytest.fixture
def setting(primary):
    """Changes settings of the server; they are back at the end of the test."""
    connection = primary.connect("postgres", options="-c synchronous_commit=local")
    changed = []

    def change(name, value):
        changed.append(name)
        with connection.cursor() as cursor:
            cursor.execute(f"ALTER SYSTEM SET {name} = %s", (value,))
            cursor.execute("SELECT pg_reload_conf()")

    yield change
    with connection.cursor() as cursor:
        for name, value in primary.settings.items():
            if name in changed:
                cursor.execute(f"ALTER SYSTEM SET {name} = {value}")
        for name in changed:
            if name not in primary.settings:
                cursor.execute(f"ALTER SYSTEM RESET {name}")
        cursor.execute("SELECT pg_reload_conf()")
    connection.close()


def test_a_standby_that_does_not_apply_holds_by_bytes_and_by_time(primary, job, make_cluster, directory):
    standby = primary.standby(directory / "throttled-standby")
    make_cluster.adopt(standby)
    job.limit(replication_lag="300 ms", replication_lag_bytes="1MB")
    job.free()
    there = standby.connect("postgres")
    with there.cursor() as cursor:
        cursor.execute("SELECT pg_wal_replay_pause()")
    job.write_wal(3)
    job.held_by('replication_lag: standby "walreceiver"')
    job.held_by("s > 0.3 s")
    job.held_by("> 1024 kB")
    with there.cursor() as cursor:
        cursor.execute("SELECT pg_wal_replay_resume()")
    there.close()
    job.free()


def test_a_standby_that_is_gone_holds(primary, job):
    job.limit(replication_lag="1 h")
    job.free()
    job.database.sql("CHECKPOINT")  # WAL is kept from there on
    job.database.sql("SELECT pg_create_physical_replication_slot('gone', true)")
    try:
        job.held_by('no standby is connected to replication slot "gone"')
        job.limit(replication_lag_bytes="4MB")
        job.free()
        job.write_wal(6)
        job.held_by('replication_lag_bytes: replication slot "gone"')
    finally:
        job.database.sql("SELECT pg_drop_replication_slot('gone')")
    job.free()


def test_a_missing_synchronous_standby_holds(job, setting):
    job.limit(replication_lag="1 h")
    job.database.sql("SET synchronous_commit = local")
    setting("synchronous_standby_names", "nobody")
    job.held_by("no synchronous standby is connected (synchronous_standby_names = nobody)")


def test_archiving_that_fails_or_falls_behind_holds(job, setting):
    job.limit(wal_archiving=0)
    job.free()
    setting("archive_command", "false")
    job.write_wal(1)
    job.database.sql("SELECT pg_switch_wal()")
    job.held_by("wal_archiving: archiving of ")
    setting("archive_command", "true")
    job.free(60)
    setting("archive_command", "")
    job.write_wal(1)
    job.database.sql("SELECT pg_switch_wal()")
    job.held_by("1 files waiting > 0")
    job.limit(wal_archiving=1)
    job.free()


def test_autovacuum_and_dead_rows_of_a_partition_hold(job):
    job.database.sql("CREATE TABLE parts (id bigint PRIMARY KEY, filler text) PARTITION BY RANGE (id)")
    job.database.sql(
        "CREATE TABLE part PARTITION OF parts FOR VALUES FROM (0) TO (1000000) WITH (autovacuum_vacuum_cost_delay = 100, autovacuum_vacuum_cost_limit = 1, "
        "autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000)"
    )
    job.database.sql("SELECT conveyor.create_migration('n')")
    job.database.sql("SELECT conveyor.add_job('n', 'parted', 'parts', %s)", STATEMENT)
    job.database.sql("INSERT INTO parts SELECT n, repeat('x', 500) FROM generate_series(1, 30000) AS n")
    job.database.sql("UPDATE parts SET filler = repeat('y', 500)")

    def throttle(limits):
        job.database.sql(
            "SELECT conveyor.alter_job('n', 'parted', jsonb_build_object('throttles', (SELECT jsonb_object_agg(name, false) FROM conveyor.throttle_kind) || %s))",
            json.dumps(limits),
        )
        return job.database.one("SELECT conveyor.job_throttle(id) FROM conveyor.job_definition WHERE job = 'parted'")

    # Far more dead rows than autovacuum waits for would be 5 × 100,000: what is here is 0.3 of that.
    until(lambda: throttle({"dead_rows": 0.2}) == "dead_rows: 30000 in public.part, 0.3 × what autovacuum waits for > 0.2", lambda: throttle({"dead_rows": 0.2}))
    assert throttle({"dead_rows": 0.4}) is None
    until(lambda: throttle({"autovacuum": 0}) == "autovacuum: 1 running on public.part > 0", lambda: throttle({"autovacuum": 0}), 60)
    assert throttle({"autovacuum": 1}) is None
    job.database.sql("SELECT conveyor.drop_migration('n')")
    job.database.sql("DROP TABLE parts")


def test_a_job_that_runs_says_what_holds_it_and_goes_on_when_nothing_does(job):
    database = job.database
    database.sql("CREATE TABLE brake (reason text)")
    database.sql("INSERT INTO brake VALUES ('peak hours')")
    database.sql("INSERT INTO source SELECT n, 'x' FROM generate_series(1, 400) AS n")
    job.limit()
    database.sql("SELECT conveyor.alter_job('m', 'copy', '{\"throttle_query\": \"SELECT reason FROM brake\", \"rate\": 100}')")
    database.sql("SELECT conveyor.start_migration('m')")

    def shown():
        return database.one("SELECT throttle FROM conveyor.migration_status WHERE migration = 'm'") or ""

    until(lambda: shown() == "throttle_query: peak hours", shown)
    assert database.one("SELECT count(*) FROM target") == 0
    database.sql("DELETE FROM brake")
    until(lambda: shown() == "rate: 100 rows/s", shown)
    database.sql("SELECT conveyor.alter_job('m', 'copy', '{\"rate\": null}')")
    database.sql("CALL conveyor.wait_finished('m', '20 s')")
    assert database.one("SELECT count(*) FROM target") == 400
    assert shown() == ""
