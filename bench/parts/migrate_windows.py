"""What applying changes to a job that follows its source costs against one statement for the same keys."""
import time
from statistics import median

from lib.migration import SHAPE, define, make_table
from lib.rounds import column, interleave
from lib.stats import paired_ratio

TITLE = "Migrations: windows of changes"
WINDOWS = "conveyor, windows of changes"
ONE_STATEMENT = "one INSERT … SELECT … ON CONFLICT"
UPSERT = ("INSERT INTO bench.{} SELECT id, customer, amount, status, placed, note FROM {} ON CONFLICT (id) DO UPDATE "
          "SET customer = excluded.customer, amount = excluded.amount, status = excluded.status, placed = excluded.placed, note = excluded.note")
CHANGE = "UPDATE bench.source SET amount = amount + 1 WHERE id % {} = 0"
ONE_IN = 10


def run(bench, results):
    cluster = bench.cluster()
    cluster.start()
    try:
        _measure(bench, cluster, results)
    finally:
        cluster.drop()


def _measure(bench, cluster, results):
    rows, rounds = bench.size(2_000_000, 100_000), bench.rounds or bench.size(5, 1)
    cluster.create_database("windows", "pg_conveyor")
    with cluster.connect("windows") as db:
        db.run("CREATE SCHEMA bench")
        make_table(db, "bench.source", rows)
        for target in ("target", "plain"):
            db.run(f"CREATE TABLE bench.{target} ({SHAPE})")
        db.run("INSERT INTO bench.plain SELECT * FROM bench.source")
        define(db, "windows", "bench.source", UPSERT.format("target", "batch"), follow=True)
        db.run("SELECT conveyor.start_migration('windows')")
        _wait(db, "SELECT bool_and(state = 'following') FROM conveyor.job_status WHERE migration = 'windows'")
        bench.say(f"{rows // ONE_IN:,} changed keys, {rounds} rounds")
        taken = interleave({WINDOWS: rounds, ONE_STATEMENT: rounds}, rounds, lambda name: _apply(db, name), bench.say)
        different = db.value("SELECT count(*) FROM (TABLE bench.source EXCEPT TABLE bench.target) AS d")
        if different:
            raise RuntimeError(f"{different} rows of the target are not what the source has")
    seconds = {name: column(taken, name, "seconds") for name in taken}
    results.table(f"{rows // ONE_IN:,} changed keys of {rows:,}, from the commit of the change until they are applied", ["how", "seconds", "keys a second"],
                  [[name, median(taken), rows / ONE_IN / median(taken)] for name, taken in seconds.items()])
    ratio = paired_ratio(seconds[ONE_STATEMENT], seconds[WINDOWS])
    results.remark(f"Windows of changes reach {ratio['value']:.2f} ({ratio['low']:.2f} … {ratio['high']:.2f}) of the rate of one statement that is told which keys have changed.")
    results.keep(windows=taken)


def _wait(db, question):
    deadline = time.monotonic() + 120
    while not db.value(question):
        if time.monotonic() > deadline:
            raise RuntimeError(db.rows("SELECT * FROM conveyor.job_status"))
        time.sleep(0.01)


def _apply(db, name):
    """From the commit of the change on; for the statement, when the windows are through with it."""
    db.run("VACUUM bench.source, bench.target, bench.plain")
    db.run("CHECKPOINT")
    db.run(CHANGE.format(ONE_IN))
    began = time.perf_counter()
    _wait(db, "SELECT changes = 0 FROM conveyor.follow_lag((SELECT id FROM conveyor.job_definition))")
    if name == ONE_STATEMENT:
        began = time.perf_counter()
        db.run(UPSERT.format("plain", f"bench.source WHERE id % {ONE_IN} = 0"))
    return {"seconds": time.perf_counter() - began}
