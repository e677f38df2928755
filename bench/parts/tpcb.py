"""What recording changes costs many small transactions: pgbench's TPC-B with 4 clients."""
import re
from statistics import median

from lib.captures import CONVEYOR, EMPTY, NONE, PGQ, PLPGSQL, VARIANTS
from lib.rounds import column, interleave
from lib.stats import paired_ratio

TITLE = "Capture: TPC-B with 4 clients, pgbench_accounts watched"
CONTROL = "none, again"
DATABASES = {name: f"tpcb_{number}" for number, name in enumerate([*VARIANTS, CONTROL])}


def run(bench, results):
    rounds, seconds = bench.rounds or bench.size(16, 3), bench.size(4, 1)
    peer_rounds = min(rounds, 5)
    scale = bench.size(10, 1)
    cluster = bench.cluster(wal_level="replica")
    cluster.start()
    try:
        for name, database in DATABASES.items():
            _prepare(cluster, database, VARIANTS.get(name, VARIANTS[NONE]), scale)
        bench.say(f"{rounds} rounds of {seconds} s each")
        _warm_up(cluster, seconds)
        taken = interleave({NONE: rounds, CONTROL: rounds, EMPTY: rounds, CONVEYOR: rounds, PLPGSQL: peer_rounds,
                            PGQ: peer_rounds}, rounds, lambda name: _measure(cluster, name, seconds), bench.say)
    finally:
        cluster.drop()
    _report(results, taken, scale, seconds)


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
        _measure(cluster, name, seconds)


def _measure(cluster, name, seconds):
    with cluster.connect(DATABASES[name]) as db:
        db.run("VACUUM pgbench_branches, pgbench_tellers")
        db.run("TRUNCATE pgbench_history")
        output = cluster.tool("pgbench", "-n", "-c", 4, "-j", 2, "-T", seconds, "-M", "prepared", database=DATABASES[name])
        if name in VARIANTS:
            VARIANTS[name].forget(db)
    return {"tps": float(re.search(r"tps = ([\d.]+)", output).group(1))}


def _report(results, taken, scale, seconds):
    tps = {name: column(taken, name, "tps") for name in taken}
    rows = []
    for name in taken:
        ratio = paired_ratio(tps[name], tps[NONE][:len(tps[name])])
        rows.append([name, median(tps[name]), ratio["value"], f"{ratio['low']:.3f} … {ratio['high']:.3f}", len(tps[name])])
    results.table(f"pgbench, scale {scale}, 4 clients, prepared, {seconds} s a round, synchronous commits",
                  ["capture", "transactions/s", "× none", "interval", "rounds"], rows)
    results.claim("TPC-B: throughput with a watch / without a trigger", paired_ratio(tps[CONVEYOR], tps[NONE]), "≥", 0.97)
    results.remark("\"none, again\" is a second database without a trigger: how far its ratio lies from 1 is what the "
                   "machine adds to all others.")
    results.keep(rounds=taken)
