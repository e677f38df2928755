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


def test_a_batch_that_writes_much_keeps_the_wal_writer_at_work(moving):
    # Some megabytes of WAL a second, until the lock is free.
    moving.as_owner("""CREATE FUNCTION pour() RETURNS int LANGUAGE plpgsql AS $$
        BEGIN
            WHILE NOT pg_try_advisory_xact_lock_shared(4242) LOOP
                PERFORM pg_logical_emit_message(false, 'test', repeat('x', 10000)), pg_sleep(0.001);
            END LOOP;
            RETURN 1;
        END $$""")
    moving.define(statement="UPDATE account a SET times = a.times + pour() FROM batch b WHERE b.id = a.id", workers=1, batch=10)
    writer = moving.database.one("SELECT pid FROM pg_stat_activity WHERE backend_type = 'walwriter'")
    holder = moving.database.connect()
    with holder.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(%s)", (LOCK,))
    moving.start()
    woken = times_woken(writer)
    # By itself it would be twice in this time.
    until(lambda: times_woken(writer) > woken + 50, moving.describe)
    holder.close()
    moving.finish()
    moving.assert_each_once()
