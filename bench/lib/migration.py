"""A table to migrate, and migrations of it from their start to the commit of the last batch."""
import time

from lib import proc

SHAPE = "id bigint PRIMARY KEY, customer int, amount numeric(10, 2), status text, placed timestamptz, note text"
ROWS = ("SELECT n, n % 99991, (n % 100000) / 100.0, (ARRAY['new', 'paid', 'sent', 'done'])[n % 4 + 1], "
        "timestamptz '2020-01-01' + n * interval '1 s', repeat(chr(97 + n % 26), 40) FROM generate_series(1, {}) n")


def make_table(db, name, rows):
    """Vacuumed, as a table is that nobody has written to for a while."""
    db.run(f"CREATE TABLE {name} ({SHAPE})")
    db.run(f"INSERT INTO {name} {ROWS.format(rows)}")
    db.run(f"VACUUM (FREEZE, ANALYZE) {name}")


def define(db, migration, source, statement=None, call=None, workers=1, follow=False, options="{}"):
    db.run("SELECT conveyor.drop_migration(%s) WHERE EXISTS (SELECT FROM conveyor.migration_definition WHERE migration = %s)", (migration, migration))
    # Autovacuum is off here, so what is deleted stays.
    db.run("SELECT conveyor.create_migration(%s, jsonb_build_object('throttles', '{\"dead_rows\": false}'::jsonb))", (migration,))
    db.run("SELECT conveyor.add_job(%s, 'job', %s, %s, call => %s, workers => %s, follow => %s, options => %s::jsonb)",
           (migration, source, statement, call, workers, follow, options))


def define_and_run(db, migration, source, statement=None, call=None, workers=1, options="{}"):
    """In background workers, as start_migration() does it; seconds from its commit to that of the last batch's."""
    define(db, migration, source, statement, call, workers, options=options)
    db.run("CHECKPOINT")
    began = time.perf_counter()
    db.run("SELECT conveyor.start_migration(%s)", (migration,))
    memory = []
    while True:
        state, pid, share = db.rows(
            "SELECT m.state, (SELECT w.pid FROM conveyor.job_worker w WHERE w.id = j.id AND w.worker = 0), "
            "(SELECT sum(w.rows_done)::float8 FROM conveyor.job_worker w WHERE w.id = j.id) / s.rows_total "
            "FROM conveyor.migration_state m JOIN conveyor.job_definition j USING (migration) JOIN conveyor.job_state s ON s.id = j.id WHERE migration = %s",
            (migration,))[0]
        if state == "finished":
            break
        if state != "running":
            raise RuntimeError(db.rows("SELECT * FROM conveyor.job_status WHERE migration = %s", (migration,)))
        if pid and share and share > 0.1:
            memory.append(proc.status_bytes(pid, "RssAnon"))
        time.sleep(0.02)
    seconds = time.perf_counter() - began
    batches, working = db.rows("SELECT count(*), sum(milliseconds) / 1000 FROM conveyor.job_batch JOIN conveyor.job_definition USING (id) WHERE migration = %s",
                               (migration,))[0]
    memory = [size for size in memory if size] or [0]
    return {"seconds": seconds, "batches": batches, "bookkeeping": 1 - working / seconds / workers, "memory_growth": max(memory) - memory[0]}
