"""What going through a table in checkpointed batches costs against one statement."""
import time
from concurrent.futures import ThreadPoolExecutor
from statistics import median

from lib.migration import SHAPE, define_and_run, make_table
from lib.rounds import column, interleave
from lib.stats import paired_ratio

TITLE = "Migrations: batches with checkpoints against one statement"
ONE_STATEMENT = "one INSERT … SELECT"
TWO_STATEMENTS = "two INSERT … SELECT at once, half each"
ONE_WORKER = "conveyor, one worker"
TWO_WORKERS = "conveyor, two workers"
UNEXAMINED = "conveyor, one worker, no batch examined"
LOOP = "PL/pgSQL loop, COMMIT per 10,000 keys"
STATEMENT = "INSERT INTO bench.target SELECT id, customer, amount, status, placed, note FROM bench.source"
COPY = "INSERT INTO bench.target SELECT id, customer, amount, status, placed, note FROM batch"


def run(bench, results):
    cluster = bench.cluster()
    cluster.start()
    try:
        _copy(bench, cluster, results)
    finally:
        cluster.drop()
    results.remark("pgroll and spirit, by what they publish: pgroll backfills in batches of 1,000 rows of the primary key with a statement each and no "
                   "checkpoint; spirit copies MySQL tables in chunks sized to 500 ms and keeps a watermark. Neither runs arbitrary SQL in PostgreSQL.")


def _copy(bench, cluster, results):
    rows, rounds = bench.size(5_000_000, 300_000), bench.rounds or bench.size(5, 1)
    cluster.create_database("copy", "pg_conveyor")
    with cluster.connect("copy") as db:
        db.run("CREATE SCHEMA bench")
        make_table(db, "bench.source", rows)
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
    taken = interleave({ONE_STATEMENT: rounds, TWO_STATEMENTS: rounds, ONE_WORKER: rounds, TWO_WORKERS: rounds, UNEXAMINED: rounds, LOOP: min(rounds, 3)}, rounds,
                       lambda name: _measure_copy(cluster, name, rows), bench.say)
    seconds = {name: column(taken, name, "seconds") for name in taken}
    rate = {name: paired_ratio(seconds[ONE_STATEMENT][:len(seconds[name])], seconds[name]) for name in taken}
    speed_up = paired_ratio(seconds[ONE_WORKER], seconds[TWO_WORKERS])
    # What the server and the machine give two sessions that write into one table, whoever they are.
    at_once = paired_ratio(seconds[TWO_STATEMENTS], seconds[TWO_WORKERS])
    examining = paired_ratio(seconds[UNEXAMINED], seconds[ONE_WORKER])
    share = column(taken, ONE_WORKER, "bookkeeping")
    growth = column(taken, ONE_WORKER, "memory_growth")
    results.table(f"A copy of {rows:,} rows, medians of interleaved rounds", ["how", "seconds", "rows a second", "rate × one statement", "interval"],
                  [[name, median(seconds[name]), rows / median(seconds[name]), rate[name]["value"],
                    f"{rate[name]['low']:.2f} … {rate[name]['high']:.2f}"] for name in taken])
    results.claim("rate of one worker / one statement", rate[ONE_WORKER], "≥", 0.95)
    results.claim("rate of two workers / one worker", speed_up, "≥", 1.6)
    results.claim("rate of two workers / two plain statements at once", at_once, "≥", 0.95)
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
            figures = define_and_run(db, "copy", "bench.source", COPY, workers=2 if name == TWO_WORKERS else 1,
                                     options='{"examine": "off"}' if name == UNEXAMINED else "{}")
        else:
            db.run("CHECKPOINT")
            began = time.perf_counter()
            if name == TWO_STATEMENTS:
                _at_once(cluster, [f"{STATEMENT} WHERE id <= {rows // 2}", f"{STATEMENT} WHERE id > {rows // 2}"])
            else:
                db.run("CALL bench.loop()" if name == LOOP else STATEMENT)
            figures = {"seconds": time.perf_counter() - began}
        copied = db.value("SELECT count(*) FROM bench.target")
        if copied != rows:
            raise RuntimeError(f"{name}: {copied} rows were copied, not {rows}")
    return figures


def _at_once(cluster, statements):
    def execute(statement):
        with cluster.connect("copy") as db:
            db.run(statement)

    with ThreadPoolExecutor(len(statements)) as sessions:
        list(sessions.map(execute, statements))
