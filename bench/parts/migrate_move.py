"""What moving rows into partitions costs beside the tool that is made for it."""
import time

from lib.migration import SHAPE, define_and_run, make_table

TITLE = "Migrations: rows moved into partitions"
BY_STATEMENT = "conveyor, a statement that joins batch"
BY_CALL = "conveyor, a function that is given first and last key"
PARTMAN = "pg_partman partition_data_proc"
MOVE = "WITH moved AS (DELETE FROM bench.old o USING batch b WHERE o.id = b.id RETURNING o.*) INSERT INTO bench.parted SELECT * FROM moved"
# The source is read once, as pg_partman does it.
FUNCTION = """CREATE FUNCTION bench.move(first bigint, last bigint) RETURNS void LANGUAGE sql
    BEGIN ATOMIC
        WITH moved AS (DELETE FROM bench.old o WHERE o.id BETWEEN first AND last RETURNING o.*) INSERT INTO bench.parted SELECT * FROM moved;
    END"""


def run(bench, results):
    cluster = bench.cluster()
    cluster.start()
    try:
        _measure(bench, cluster, results)
    finally:
        cluster.drop()


def _measure(bench, cluster, results):
    rows = bench.size(5_000_000, 100_000)
    taken = {}
    for name in (BY_STATEMENT, BY_CALL, PARTMAN):
        cluster.create_database("move", "pg_conveyor")
        with cluster.connect("move") as db:
            db.run("CREATE SCHEMA bench")
            db.run("CREATE SCHEMA partman")
            db.run("CREATE EXTENSION pg_partman SCHEMA partman")
            make_table(db, "bench.old", rows)
            db.run(f"CREATE TABLE bench.parted ({SHAPE}) PARTITION BY RANGE (id)")
            if name == PARTMAN:
                db.run("SELECT partman.create_parent('bench.parted', 'id', 'native', %s)", (str(rows // 10),))
                db.run("CHECKPOINT")
                began = time.perf_counter()
                # It would sleep a second behind each batch.
                db.run("CALL partman.partition_data_proc('bench.parted', p_interval := '10000', p_wait := 0, p_source_table := 'bench.old')")
                taken[name] = time.perf_counter() - began
            else:
                for n in range(11):
                    db.run(f"CREATE TABLE bench.parted_{n} PARTITION OF bench.parted FOR VALUES FROM ({n * rows // 10}) TO ({(n + 1) * rows // 10})")
                db.run(FUNCTION)
                how = {"call": "bench.move(bigint, bigint)"} if name == BY_CALL else {"statement": MOVE}
                taken[name] = define_and_run(db, "move", "bench.old", **how)["seconds"]
            moved = db.value("SELECT count(*) FROM bench.parted")
            if moved != rows:
                raise RuntimeError(f"{name}: {moved} rows were moved, not {rows}")
        bench.say(f"{name}: {taken[name]:.1f} s")
    results.table(f"{rows:,} rows moved into ten partitions, once", ["how", "seconds", "rows a second"],
                  [[name, seconds, rows / seconds] for name, seconds in taken.items()])
    results.claim("rate of a called function / pg_partman", taken[PARTMAN] / taken[BY_CALL], "≥", 1)
    results.keep(move=taken)
