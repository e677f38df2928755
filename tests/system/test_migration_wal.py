"""The WAL that batches write is written beside them."""

import pytest

from moving import SETTINGS, Moving
from waiting import until

LOCK = 4242


@pytest.fixture(scope="module")
def server(make_cluster):
    return make_cluster("wal", SETTINGS | {"wal_writer_delay": "'10s'"})


@pytest.fixture
def moving(server):
    moving = Moving(server, "wal", rows=10)
    yield moving
    moving.database.close()


def times_woken(pid):
    with open(f"/proc/{pid}/status") as status:
        return int(next(line.split()[1] for line in status if line.startswith("voluntary_ctxt_switches")))


def pour(moving):
    """A function that writes some megabytes of WAL a second, until the lock is free."""
    moving.as_owner("""CREATE FUNCTION pour() RETURNS int LANGUAGE plpgsql AS $$
        BEGIN
            WHILE NOT pg_try_advisory_xact_lock_shared(4242) LOOP
                PERFORM pg_logical_emit_message(false, 'test', repeat('x', 10000)), pg_sleep(0.001);
            END LOOP;
            RETURN 1;
        END $$""")


def hold(moving):
    holder = moving.database.connect()
    with holder.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(%s)", (LOCK,))
    return holder


def wait_for_the_wal_writer(moving):
    """By itself it would be woken twice in the time that this takes."""
    writer = moving.database.one("SELECT pid FROM pg_stat_activity WHERE backend_type = 'walwriter'")
    woken = times_woken(writer)
    until(lambda: times_woken(writer) > woken + 50, moving.describe)


def test_a_batch_that_writes_much_keeps_the_wal_writer_at_work(moving):
    pour(moving)
    moving.define(statement="UPDATE account a SET times = a.times + pour() FROM batch b WHERE b.id = a.id", workers=1, batch=10)
    holder = hold(moving)
    moving.start()
    wait_for_the_wal_writer(moving)
    holder.close()
    moving.finish()
    moving.assert_each_once()


def test_a_window_of_changes_that_writes_much_keeps_the_wal_writer_at_work(server):
    moving = Moving(server, "wal_window", rows=10)
    pour(moving)
    moving.as_owner("CREATE TABLE account_poured (id int PRIMARY KEY, n int)")
    moving.as_owner("SELECT conveyor.create_migration('poured')")
    moving.as_owner("""SELECT conveyor.add_job('poured', 'job', 'account', follow => true,
        statement => 'INSERT INTO account_poured SELECT id, pour() FROM batch ON CONFLICT (id) DO UPDATE SET n = excluded.n')""")
    moving.as_owner("SELECT conveyor.start_migration('poured')")
    until(lambda: moving.database.one("SELECT state FROM conveyor.job_status WHERE migration = 'poured'") == "following", moving.describe)
    holder = hold(moving)
    moving.as_owner("UPDATE account SET times = times + 1")
    wait_for_the_wal_writer(moving)
    holder.close()
    until(lambda: moving.database.one("SELECT pending FROM conveyor.job_status WHERE migration = 'poured'") == 0, moving.describe)
    moving.as_owner("SELECT conveyor.cancel_migration('poured')")
    moving.database.close()
