"""Whether a row far into a table costs more than one at its beginning."""
from statistics import median

from lib.migration import define_and_run

TITLE = "Migrations: the cost of a row by its position"
# Nothing but the reading is measured: how deep a key lies must not show.
KEYS = {
    "bigint": ("id bigint", "id", "n"),
    "composite": ("tenant int, id bigint", "tenant, id", "n / 1000000, n % 1000000"),
    "uuid": ("id uuid", "id", "lpad(to_hex(n), 32, '0')::uuid"),
}


def run(bench, results):
    cluster = bench.cluster()
    cluster.start()
    try:
        _measure(bench, cluster, results)
    finally:
        cluster.drop()


def _measure(bench, cluster, results):
    rows = []
    for name, (columns, key, expression) in KEYS.items():
        total = bench.size(100_000_000 if name == "bigint" else 20_000_000, 500_000)
        cluster.create_database("depth", "pg_conveyor")
        with cluster.connect("depth") as db:
            db.run("CREATE SCHEMA bench")
            db.run(f"CREATE TABLE bench.keys ({columns})")
            db.run(f"INSERT INTO bench.keys SELECT {expression} FROM generate_series(1::bigint, {total}) n")
            db.run(f"ALTER TABLE bench.keys ADD PRIMARY KEY ({key})")
            db.run("VACUUM (FREEZE, ANALYZE) bench.keys")
            size = total // 200
            define_and_run(db, "depth", "bench.keys", "SELECT count(*) FROM batch", options=(
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
