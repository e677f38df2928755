"""What recording changes costs a bulk writer: 1M rows inserted and updated in one statement each."""
import time
from statistics import median

from lib import proc
from lib.captures import CONVEYOR, EMPTY, NONE, PGQ, PLPGSQL, VARIANTS
from lib.rounds import column, interleave
from lib.stats import paired_ratio

TITLE = "Capture: bulk INSERT and UPDATE"
WORKLOADS = {
    "INSERT": "INSERT INTO bench.wide SELECT * FROM bench.template",
    "UPDATE": "UPDATE bench.wide SET v = v + 1",
}
DATABASES = {name: f"capture_{number}" for number, name in enumerate(VARIANTS)}


def run(bench, results):
    rows, rounds = bench.size(1_000_000, 50_000), bench.rounds or bench.size(5, 2)
    peer_rounds = min(rounds, 3)
    cluster = bench.cluster(wal_level="replica")
    cluster.start()
    try:
        for name, variant in VARIANTS.items():
            _prepare(cluster, DATABASES[name], variant, rows)
        taken = {}
        for workload in WORKLOADS:
            bench.say(f"{workload} of {rows:,} rows, {rounds} rounds")
            taken[workload] = interleave(
                {NONE: rounds, EMPTY: rounds, CONVEYOR: rounds, PLPGSQL: peer_rounds, PGQ: peer_rounds}, rounds,
                lambda name, workload=workload: _measure(cluster, name, workload, rows), bench.say)
    finally:
        cluster.drop()
    _report(results, taken)


def _prepare(cluster, database, variant, rows):
    """A database per variant: no capture's leftovers (caches, bloat in the catalogs) touch another's figures."""
    cluster.create_database(database, *variant.extensions)
    with cluster.connect(database) as db:
        db.run("CREATE SCHEMA bench")
        db.run("CREATE UNLOGGED TABLE bench.template AS SELECT n AS id, 0 AS v, repeat('x', 80) AS pad "
               "FROM generate_series(1::bigint, %s) n", (rows,))
        db.run("VACUUM (FREEZE, ANALYZE) bench.template")
        variant.prepare(db)


def _measure(cluster, name, workload, rows):
    """The statement and its commit, on a new table, after a checkpoint, in a session that has warmed up nothing."""
    variant = VARIANTS[name]
    with cluster.connect(DATABASES[name]) as db:
        db.run("CREATE TABLE bench.wide (id bigint PRIMARY KEY, v int NOT NULL, pad text NOT NULL)")
        if workload == "UPDATE":
            db.run(WORKLOADS["INSERT"])
            db.run("VACUUM (FREEZE, ANALYZE) bench.wide")
        variant.attach(db, "bench.wide", "id")
        before = db.value("SELECT pg_current_snapshot()::text")
        db.run("CHECKPOINT")
        wal = db.wal_position()
        began, cpu = time.perf_counter(), proc.cpu_seconds(db.pid)
        db.run(WORKLOADS[workload])
        seconds, cpu = time.perf_counter() - began, proc.cpu_seconds(db.pid) - cpu
        wal = db.wal_position() - wal
        if name == CONVEYOR:
            recorded = db.value("SELECT changes FROM conveyor.log_pending(%s, (SELECT array_agg(capture) FROM conveyor.capture))",
                                (before,))
            # A key counts again when a spill of the buffer falls between a row's old and its new image.
            if not rows <= recorded <= rows * 1.001:
                raise RuntimeError(f"{recorded} changes were recorded, not {rows}")
            db.run("SELECT conveyor.drop_feed('wide')")
        db.run("DROP TABLE bench.wide CASCADE")
        variant.forget(db)
    return {"seconds": seconds, "cpu": cpu, "wal_per_row": wal / rows}


def _report(results, taken):
    for workload, measured in taken.items():
        seconds = {name: column(measured, name, "seconds") for name in measured}
        cpu = {name: column(measured, name, "cpu") for name in measured}
        wal = {name: column(measured, name, "wal_per_row") for name in measured}
        rows = []
        for name in measured:
            shared = len(seconds[name])
            to_none = paired_ratio(seconds[name], seconds[NONE][:shared])
            to_empty = paired_ratio(seconds[name], seconds[EMPTY][:shared])
            rows.append([name, median(seconds[name]), to_none["value"], to_empty["value"],
                         f"{to_empty['low']:.2f} … {to_empty['high']:.2f}",
                         paired_ratio(cpu[name], cpu[EMPTY][:shared])["value"], median(wal[name]) - median(wal[NONE]), shared])
        results.table(f"Bulk {workload}, medians of interleaved rounds",
                      ["capture", "seconds", "× none", "× empty trigger", "interval", "CPU × empty trigger", "WAL bytes a row above none",
                       "rounds"], rows)
        results.claim(f"bulk {workload}: time of conveyor / empty C trigger",
                      paired_ratio(seconds[CONVEYOR], seconds[EMPTY]), "≤", 1.10)
        results.claim(f"bulk {workload}: WAL of conveyor a changed row", median(wal[CONVEYOR]) - median(wal[NONE]), "≤", 10,
                      "bytes")
    results.remark("CPU is the backend's own time: what is left of the ratio when other work on the machine slows the clock.")
    results.keep(rounds=taken)
