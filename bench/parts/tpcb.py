"""What recording changes costs many small transactions: pgbench's TPC-B with 4 clients."""
import os
import re
from statistics import median

from lib.captures import CONVEYOR, EMPTY, NONE, PGQ, PLPGSQL, VARIANTS
from lib.rounds import column, interleave
from lib.stats import paired_ratio

TITLE = "Capture: TPC-B with 4 clients, pgbench_accounts watched"
CONTROL = "none, again"
# The second way waits for no disk, whose noise is many times what a trigger could cost.
COMMITS = {"synchronous commits": "on", "synchronous_commit = off": "off"}
DATABASES = {name: f"tpcb_{number}" for number, name in enumerate([*VARIANTS, CONTROL])}


def run(bench, results):
    rounds, seconds = bench.rounds or bench.size(12, 3), bench.size(3, 1)
    peer_rounds = min(rounds, 5)
    scale = bench.size(10, 1)
    cluster = bench.cluster(wal_level="replica")
    cluster.start()
    try:
        for name, database in DATABASES.items():
            _prepare(cluster, database, VARIANTS.get(name, VARIANTS[NONE]), scale)
        _warm_up(cluster, seconds)
        taken = {}
        for way, setting in COMMITS.items():
            bench.say(f"{way}: {rounds} rounds of {seconds} s each")
            taken[way] = interleave(
                {NONE: rounds, CONTROL: rounds, EMPTY: rounds, CONVEYOR: rounds, PLPGSQL: peer_rounds, PGQ: peer_rounds},
                rounds, lambda name: _measure(cluster, name, seconds, setting), bench.say)
    finally:
        cluster.drop()
    for way in COMMITS:
        _report(results, taken[way], f"pgbench, scale {scale}, 4 clients, prepared, {seconds} s a round, {way}", way)
    results.remark("\"none, again\" is a second database without a trigger: how far its ratio lies from 1 is what the "
                   "machine adds to all others.")
    results.keep(rounds=taken)


def _prepare(cluster, database, variant, scale):
    """A database per variant, so that no DDL is needed between the rounds."""
    cluster.create_database(database, *variant.extensions)
    cluster.tool("pgbench", "-i", "-q", "-s", scale, database=database)
    with cluster.connect(database) as db:
        variant.prepare(db)
        variant.attach(db, "public.pgbench_accounts", "aid")


def _warm_up(cluster, seconds):
    with cluster.connect() as admin:
        admin.run("CHECKPOINT")
    for name in DATABASES:
        _measure(cluster, name, seconds, "on")


def _measure(cluster, name, seconds, synchronous_commit):
    with cluster.connect(DATABASES[name]) as db:
        db.run("VACUUM pgbench_branches, pgbench_tellers")
        db.run("TRUNCATE pgbench_history")
        output = cluster.tool("pgbench", "-n", "-c", 4, "-j", 2, "-T", seconds, "-M", "prepared", database=DATABASES[name],
                              env=os.environ | {"PGOPTIONS": f"-c synchronous_commit={synchronous_commit}"})
        if name in VARIANTS:
            VARIANTS[name].forget(db)
    return {"tps": float(re.search(r"tps = ([\d.]+)", output).group(1))}


def _report(results, taken, title, way):
    tps = {name: column(taken, name, "tps") for name in taken}
    rows = []
    for name in taken:
        ratio = paired_ratio(tps[name], tps[NONE][:len(tps[name])])
        rows.append([name, median(tps[name]), ratio["value"], f"{ratio['low']:.3f} … {ratio['high']:.3f}", len(tps[name])])
    results.table(title, ["capture", "transactions/s", "× none", "interval", "rounds"], rows)
    results.claim(f"TPC-B, {way}: throughput with a watch / without a trigger", paired_ratio(tps[CONVEYOR], tps[NONE]),
                  "≥", 0.97)
