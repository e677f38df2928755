"""One transaction of ten million changes: what captures and windows hold in memory has a bound, and no key is lost in it."""

import contextlib
import threading

CHANGES = 10_000_000
STATEMENTS = 10
BOUND = 64 * 2**20


def resident(pid):
    """Memory of the process's own, in bytes: without the shared buffers that it has touched."""
    with open(f"/proc/{pid}/status") as file:
        line = next(line for line in file if line.startswith("RssAnon:"))
    return int(line.split()[1]) * 1024


@contextlib.contextmanager
def at_most(bound, connection):
    """Asserts that the connection's backend never has more resident memory than this."""
    pid, done, peak = connection.info.backend_pid, threading.Event(), [0]

    def watch():
        while not done.wait(0.02):
            peak[0] = max(peak[0], resident(pid))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield
    finally:
        done.set()
        watcher.join()
    assert 0 < peak[0] <= bound, f"{peak[0] / 2**20:.0f} MB"


def test_a_transaction_of_ten_million_changes_keeps_to_its_memory_and_loses_no_key(database):
    database.sql("CREATE TABLE shop.events (id int PRIMARY KEY)")
    database.sql("CREATE VIEW shop.event_document AS SELECT id FROM shop.events")
    database.sql("SELECT conveyor.create_target('files', 'ndjson', '{\"directory\": \"/nowhere\"}')")
    database.sql("SELECT conveyor.create_feed('events', 'shop.event_document')")
    database.sql("SELECT conveyor.create_delivery('events', 'events', 'files', options => '{\"backfill\": false}')")
    # What fills an index is not what this is about.
    database.sql("ALTER TABLE shop.events DROP CONSTRAINT events_pkey")
    connection = database.connect(autocommit=False)
    with connection, connection.cursor() as cursor, at_most(BOUND, connection):
        # Several statements, because the server itself remembers each row of one until its triggers have run.
        for n in range(STATEMENTS):
            cursor.execute("INSERT INTO shop.events SELECT generate_series(%s, %s)", (n * CHANGES // STATEMENTS + 1, (n + 1) * CHANGES // STATEMENTS))
        cursor.execute("SELECT total_bytes FROM pg_backend_memory_contexts WHERE name = 'pg_conveyor capture'")
        assert 0 < cursor.fetchone()[0] < 16 * 2**20
    assert database.one("SELECT (conveyor.log_pending(cursor, NULL)).changes FROM conveyor.delivery_state") == CHANGES

    connection.set_session(readonly=True)
    # A window holds what it has read of the log and what it has sent already, each within conveyor.window_memory (64 MB).
    with connection, connection.cursor() as cursor, at_most(3 * BOUND, connection):
        cursor.execute(
            """SELECT count(*), count(*) FILTER (WHERE kind = 'k'), min(key::int), max(key::int), sum(key::int), bit_xor(hashint4(key::int))
                 FROM (SELECT conveyor.window_keys('events') AS f) AS w, conveyor.frame_records(f) WHERE kind NOT IN ('h', 'e')"""
        )
        found = cursor.fetchone()
    connection.close()
    assert found == (CHANGES, CHANGES, 1, CHANGES, CHANGES * (CHANGES + 1) // 2, database.one("SELECT bit_xor(hashint4(n)) FROM generate_series(1, %s) n", CHANGES))
