"""What going through a table in checkpointed batches costs against one statement, and whether that stays so far into the table."""
import time
from statistics import median

from lib import proc
from lib.rounds import column, interleave
from lib.stats import paired_ratio

TITLE = "Migrations: batches with checkpoints against one statement"
ONE_STATEMENT = "one INSERT … SELECT"
ONE_WORKER = "conveyor, one worker"
TWO_WORKERS = "conveyor, two workers"
UNEXAMINED = "conveyor, one worker, no batch examined"
LOOP = "PL/pgSQL loop, COMMIT per 10,000 keys"
CONVEYOR_MOVE = "conveyor, DELETE … RETURNING into partitions"
PARTMAN = "pg_partman partition_data_proc"
COPY = "INSERT INTO bench.target SELECT id, customer, amount, status, placed, note FROM batch"
MOVE = "WITH moved AS (DELETE FROM bench.old o USING batch b WHERE o.id = b.id RETURNING o.*) INSERT INTO bench.parted SELECT * FROM moved"
SHAPE = "id bigint PRIMARY KEY, customer int, amount numeric(10, 2), status text, placed timestamptz, note text"
ROWS = ("SELECT n, n % 99991, (n % 100000) / 100.0, (ARRAY['new', 'paid', 'sent', 'done'])[n % 4 + 1], "
        "timestamptz '2020-01-01' + n * interval '1 s', repeat(chr(97 + n % 26), 40) FROM generate_series(1, {}) n")
# Nothing but the reading is measured: how deep a key lies must not show.
KEYS = {
    "bigint": ("id bigint PRIMARY KEY", "n"),
    "composite": ("tenant int, id bigint, PRIMARY KEY (tenant, id)", "n / 1000000, n % 1000000"),
    "uuid": ("id uuid PRIMARY KEY", "lpad(to_hex(n), 32, '0')::uuid"),
}


def run(bench, results):
    cluster = bench.cluster()
    cluster.start()
    try:
        _copy(bench, cluster, results)
        _move(bench, cluster, results)
        _depth(bench, cluster, results)
    finally:
        cluster.drop()
    results.remark("pgroll and spirit, by what they publish: pgroll backfills in batches of 1,000 rows of the primary key with a statement each and no "
                   "checkpoint; spirit copies MySQL tables in chunks sized to 500 ms and keeps a watermark. Neither runs arbitrary SQL in PostgreSQL.")


# --- a copy of a table ---

def _copy(bench, cluster, results):
    rows, rounds = bench.size(5_000_000, 300_000), bench.rounds or bench.size(5, 1)
    cluster.create_database("copy", "pg_conveyor")
    with cluster.connect("copy") as db:
        db.run("CREATE SCHEMA bench")
        db.run(f"CREATE TABLE bench.source ({SHAPE})")
        db.run(f"INSERT INTO bench.source {ROWS.format(rows)}")
        db.run("VACUUM (FREEZE, ANALYZE) bench.source")
        db.run("""CREATE PROCEDURE bench.loop() LANGUAGE plpgsql AS $$
            DECLARE at bigint := 0; last bigint := (SELECT max(id) FROM bench.source);
            BEGIN
                WHILE at < last LOOP
                    INSERT INTO bench.target SELECT * FROM bench.source WHERE id > at AND id <= at + 10000;
                    at := at + 10000;
                    COMMIT;
                END LOOP;
            END $$""")
    bench.say(f"a copy of {rows:,} rows, {rounds} rounds")
    taken = interleave({ONE_STATEMENT: rounds, ONE_WORKER: rounds, TWO_WORKERS: rounds, UNEXAMINED: rounds, LOOP: min(rounds, 3)}, rounds,
                       lambda name: _measure_copy(cluster, name, rows), bench.say)
    seconds = {name: column(taken, name, "seconds") for name in taken}
    rate = {name: paired_ratio(seconds[ONE_STATEMENT][:len(seconds[name])], seconds[name]) for name in taken}
    speed_up = paired_ratio(seconds[ONE_WORKER], seconds[TWO_WORKERS])
    examining = paired_ratio(seconds[UNEXAMINED], seconds[ONE_WORKER])
    share = column(taken, ONE_WORKER, "bookkeeping")
    growth = column(taken, ONE_WORKER, "memory_growth")
    results.table(f"A copy of {rows:,} rows, medians of interleaved rounds", ["how", "seconds", "rows a second", "rate × one statement", "interval"],
                  [[name, median(seconds[name]), rows / median(seconds[name]), rate[name]["value"],
                    f"{rate[name]['low']:.2f} … {rate[name]['high']:.2f}"] for name in taken])
    results.claim("rate of one worker / one statement", rate[ONE_WORKER], "≥", 0.95)
    results.claim("rate of two workers / one worker", speed_up, "≥", 1.6)
    results.claim("rate of one worker / the same with examine => off", examining, "≥", 0.98)
    results.claim("one worker: time outside of the batches' statements", median(share) * 100, "<", 3, "%")
    results.claim("private memory of a runner, end against a tenth of the way", median(growth) / 2**20, "≤", 1, "MB")
    results.keep(copy=taken)


def _measure_copy(cluster, name, rows):
    """On a new table, after a checkpoint, from the call to the last commit."""
    with cluster.connect("copy") as db:
        db.run("DROP TABLE IF EXISTS bench.target")
        db.run(f"CREATE TABLE bench.target ({SHAPE})")
        if name in (ONE_WORKER, TWO_WORKERS, UNEXAMINED):
            figures = _define_and_run(cluster, db, "copy", "bench.source", COPY, workers=2 if name == TWO_WORKERS else 1,
                                      options='{"examine": "off"}' if name == UNEXAMINED else "{}")
        else:
            db.run("CHECKPOINT")
            began = time.perf_counter()
            db.run("CALL bench.loop()" if name == LOOP else "INSERT INTO bench.target SELECT id, customer, amount, status, placed, note FROM bench.source")
            figures = {"seconds": time.perf_counter() - began}
        copied = db.value("SELECT count(*) FROM bench.target")
        if copied != rows:
            raise RuntimeError(f"{name}: {copied} rows were copied, not {rows}")
    return figures


def _define_and_run(cluster, db, migration, source, statement, workers=1, **options):
    """In background workers, as start_migration() does it; seconds from its commit to that of the last batch's."""
    db.run("SELECT conveyor.drop_migration(%s) WHERE EXISTS (SELECT FROM conveyor.migration_definition WHERE migration = %s)", (migration, migration))
    # Autovacuum is off here, so what is deleted stays.
    db.run("SELECT conveyor.create_migration(%s, jsonb_build_object('throttles', '{\"dead_rows\": false}'::jsonb))", (migration,))
    db.run("SELECT conveyor.add_job(%s, 'job', %s, %s, workers => %s, options => %s::jsonb)",
           (migration, source, statement, workers, options.get("options", "{}")))
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


# --- rows moved into partitions ---

def _move(bench, cluster, results):
    rows = bench.size(1_000_000, 100_000)
    taken = {}
    for name in (CONVEYOR_MOVE, PARTMAN):
        cluster.create_database("move", "pg_conveyor")
        with cluster.connect("move") as db:
            db.run("CREATE SCHEMA bench")
            db.run("CREATE SCHEMA partman")
            db.run("CREATE EXTENSION pg_partman SCHEMA partman")
            db.run(f"CREATE TABLE bench.old ({SHAPE})")
            db.run(f"INSERT INTO bench.old {ROWS.format(rows)}")
            db.run("VACUUM (FREEZE, ANALYZE) bench.old")
            db.run(f"CREATE TABLE bench.parted ({SHAPE}) PARTITION BY RANGE (id)")
            if name == PARTMAN:
                db.run("SELECT partman.create_parent('bench.parted', 'id', 'native', %s)", (str(rows // 10),))
                db.run("CHECKPOINT")
                began = time.perf_counter()
                db.run("CALL partman.partition_data_proc('bench.parted', p_interval := '10000', p_source_table := 'bench.old')")
                taken[name] = time.perf_counter() - began
            else:
                for n in range(11):
                    db.run(f"CREATE TABLE bench.parted_{n} PARTITION OF bench.parted FOR VALUES FROM ({n * rows // 10}) TO ({(n + 1) * rows // 10})")
                taken[name] = _define_and_run(cluster, db, "move", "bench.old", MOVE)["seconds"]
            moved = db.value("SELECT count(*) FROM bench.parted")
            if moved != rows:
                raise RuntimeError(f"{name}: {moved} rows were moved, not {rows}")
        bench.say(f"{name}: {taken[name]:.1f} s")
    results.table(f"{rows:,} rows moved into ten partitions, once", ["how", "seconds", "rows a second"],
                  [[name, seconds, rows / seconds] for name, seconds in taken.items()])
    results.keep(move=taken)


# --- far into a table ---

def _depth(bench, cluster, results):
    rows = []
    for name, (columns, expression) in KEYS.items():
        total = bench.size(100_000_000 if name == "bigint" else 20_000_000, 500_000)
        cluster.create_database("depth", "pg_conveyor")
        with cluster.connect("depth") as db:
            db.run("CREATE SCHEMA bench")
            db.run(f"CREATE TABLE bench.keys ({columns})")
            db.run(f"INSERT INTO bench.keys SELECT {expression} FROM generate_series(1::bigint, {total}) n")
            db.run("VACUUM (FREEZE, ANALYZE) bench.keys")
            size = total // 200
            _define_and_run(cluster, db, "depth", "bench.keys", "SELECT count(*) FROM batch", options=(
                f'{{"batch_size": {size}, "min_batch_size": {size}, "max_batch_size": {size}, "target_duration": "10 min"}}'))
            # From one commit to the next: finding the range, reading it, the checkpoint.
            costs = db.rows("SELECT rows_before, extract(epoch FROM finished_at - lag(finished_at) OVER (ORDER BY number))::float8 * 1e6 / rows "
                            "FROM conveyor.job_batch JOIN conveyor.job_definition USING (id) WHERE migration = 'depth' ORDER BY number")[1:]
        near = median(cost for _, cost in costs[:20])
        far = median(cost for _, cost in costs[-20:])
        rows.append([name, total, near, far, far / near])
        bench.say(f"{name}: {near:.3f} µs a row at the beginning, {far:.3f} behind {total:,} rows")
        results.claim(f"{name} key: cost of a row behind {total:,} rows / at the beginning", far / near, "≤", 1.05)
    results.table("Cost of a row by its position: finding the range, reading it, the checkpoint", ["key", "rows", "µs at the beginning", "µs at the end", "ratio"], rows)
    results.keep(depth=rows)
