"""Filling an index: 500,000 orders with customer and items, to files and to OpenSearch."""
import json
import shutil
import subprocess
import time
from statistics import median

from lib import delivery, pipeline, proc, shop
from lib.agent import Agent, create_role
from lib.pgsync import INDEX as PGSYNC_INDEX
from lib.pgsync import PgSync
from lib.rounds import column, interleave
from lib.stats import paired_ratio

TITLE = "Backfill: the shop's orders"
COPY, FILES = "COPY TO STDOUT (floor of the read)", "conveyor to files (ndjson, 1 job list)"
PIPELINE, PIPELINE_WIDE = "COPY piped into bulk bodies over 2 connections (floor)", "2 COPYs over 4 connections (floor)"
SEARCH, PEER, PGSYNC = "conveyor to OpenSearch", "psycopg2 + parallel_bulk", "PGSync 7.3.0, tuned"


def run(bench, results):
    orders, rounds = bench.orders or bench.size(500_000, 10_000), bench.rounds or bench.size(3, 1)
    cluster = bench.cluster(wal_level="logical")
    search = bench.search()
    cluster.start()
    try:
        search.start()
        cluster.create_database("shop", "pg_conveyor")
        with cluster.connect("shop") as db:
            bench.say(f"filling the shop with {orders:,} orders")
            shop.fill(db, orders, orders // 10)
            shop.create_feed(db)
            create_role(db)
            db.run("CHECKPOINT")
            runs = Runs(bench, cluster, search, db, orders)
            bench.say("warming up")
            runs.copy()
            runs.to_search()
            document_bytes = db.value("SELECT avg(octet_length(d::text)) FROM (" + shop.DOCUMENTS + " LIMIT 1000) rows (d)")
            peer_rounds = 1 if bench.quick else min(rounds, 2)
            taken = interleave({COPY: rounds, FILES: rounds, PIPELINE: rounds, PIPELINE_WIDE: rounds, SEARCH: rounds,
                                PEER: peer_rounds}, rounds, runs, bench.say)
        if bench.pgsync:
            taken[PGSYNC] = [_pgsync(bench, cluster, search, orders)]
            bench.say(f"{PGSYNC}: {taken[PGSYNC][0]}")
    finally:
        search.stop()
        cluster.drop()
        shutil.rmtree(search.dir, ignore_errors=True)
    _report(results, taken, orders, document_bytes)


class Runs:
    """Each of them moves all documents once and returns {seconds, …}."""

    def __init__(self, bench, cluster, search, db, orders):
        self.bench, self.cluster, self.search, self.db, self.orders = bench, cluster, search, db, orders
        self.count = 0
        self.measure = {COPY: self.copy, FILES: self.to_files, SEARCH: self.to_search, PEER: self.parallel_bulk,
                        PIPELINE: lambda: self.pipeline(1), PIPELINE_WIDE: lambda: self.pipeline(2)}

    def __call__(self, name):
        search, machine = proc.cpu_seconds(self.search.pid()), proc.machine_cpu_seconds()
        figures = self.measure[name]()
        return figures | {"search_cpu": proc.cpu_seconds(self.search.pid()) - search,
                          "machine_cpu": proc.machine_cpu_seconds() - machine}

    def copy(self):
        began = time.perf_counter()
        subprocess.run([self.cluster.bin / "psql", "-XAtq", "-d", self.cluster.conninfo("shop"), "-c",
                        f"COPY ({shop.DOCUMENTS}) TO STDOUT"], check=True, stdout=subprocess.DEVNULL)
        return {"seconds": time.perf_counter() - began}

    def to_files(self):
        folder = self.bench.folder / "files"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        figures = self._deliver("ndjson", {"directory": str(folder)}, {"job_lists": 1})
        # Two lines a document: its action and itself. A finished file has its final name.
        lines = sum(path.read_bytes().count(b"\n") for path in folder.rglob("*.ndjson"))
        shutil.rmtree(folder)
        if lines != 2 * self.orders:
            raise RuntimeError(f"the files have {lines} lines for {self.orders} documents")
        return figures

    def to_search(self):
        figures = self._deliver("elasticsearch", {"url": self.search.url}, {})
        if self.count > 1:
            self.search.drop(self.concrete)
        else:
            self.model = self.concrete       # the warm-up's index stays: the floor's indices are made like it
        return figures

    def _deliver(self, kind, target_options, options):
        """The agent runs already when the delivery is created."""
        self.count += 1
        name = f"backfill_{self.count}"
        with Agent(self.bench.conveyor, self.cluster, "shop", self.bench.results_dir / "agent-run.log") as agent:
            agent.wait_ready(self.db)
            cpu = agent.cpu()
            delivery.create(self.db, name, "orders", kind, target_options, name, options)
            whole, working = delivery.wait_backfilled(self.db, name, agent)
            cpu, memory = agent.cpu() - cpu, agent.peak_bytes()
        sent, dead = self.db.rows("SELECT documents_sent, dead_letters FROM conveyor.delivery_status WHERE delivery = %s", (name,))[0]
        if (sent, dead) != (self.orders, 0):
            raise RuntimeError(f"{name}: {sent} documents sent and {dead} dead letters for {self.orders} orders")
        if kind == "elasticsearch":
            if self.search.count(name) != self.orders:
                raise RuntimeError(f"{name}: {self.search.count(name)} documents in the index, not {self.orders}")
            self.concrete = next(iter(self.search.request("GET", name)))
        delivery.drop(self.db, name)
        return {"seconds": whole, "working": working, "cpu": cpu, "memory": memory}

    def pipeline(self, copies):
        base = "SELECT d.id, row_to_json(d) FROM shop.order_document d"
        step = -(-self.orders // copies)
        queries = [base if copies == 1 else f"{base} WHERE d.id > {n * step} AND d.id <= {(n + 1) * step}" for n in range(copies)]
        return self._peer(lambda: pipeline.run(self.bench, self.cluster, self.search, "peer", 1_000_000, 2 * copies, *queries))

    def parallel_bulk(self):
        return self._peer(lambda: json.loads(subprocess.run(
            [self.bench.python, self.bench.peer_dir / "parallel_bulk.py", self.cluster.conninfo("shop"), self.search.url, "peer",
             "SELECT d.id::text, row_to_json(d)::text FROM shop.order_document d"],
            check=True, stdout=subprocess.PIPE, text=True).stdout))

    def _peer(self, work):
        self.search.create_like("peer", self.model)
        figures = work()
        if figures.pop("documents") != self.orders or self.search.count("peer") != self.orders:
            raise RuntimeError(f"the peer did not send all {self.orders} documents")
        self.search.drop("peer")
        return figures


def _pgsync(bench, cluster, search, orders):
    """With its triggers on the tables, and without ours."""
    with cluster.connect("shop") as db:
        db.run("SELECT conveyor.drop_feed('orders')")
    with PgSync(bench, cluster, search) as peer:
        peer.bootstrap()
        figures = peer.initial_load()
        found = search.count(PGSYNC_INDEX)
        peer.teardown()
    if found != orders:
        raise RuntimeError(f"PGSync loaded {found} of {orders} documents")
    return figures


def _report(results, taken, orders, document_bytes):
    rows = []
    for name, figures in taken.items():
        seconds = median(column(taken, name, "seconds"))
        rate = orders / seconds
        cpu = median(column(taken, name, "cpu")) if "cpu" in figures[0] else None
        memory = max(column(taken, name, "memory")) / 1e6 if "memory" in figures[0] else None
        working = orders / median(column(taken, name, "working")) if "working" in figures[0] else None
        search, machine = (median(column(taken, name, figure)) if figure in figures[0] else None
                           for figure in ("search_cpu", "machine_cpu"))
        rows.append([name, rate, working, cpu, search, machine, memory, len(figures)])
    results.table(f"{orders:,} documents of {document_bytes:.0f} bytes, medians of interleaved rounds",
                  ["what", "documents/s", "after the first range was claimed", "client CPU s", "OpenSearch CPU s", "CPU s in all",
                   "client peak MB", "rounds"], rows)
    seconds = {name: column(taken, name, "seconds") for name in taken}
    speed = lambda name, base: paired_ratio(seconds[base][:len(seconds[name])], seconds[name][:len(seconds[base])])  # noqa: E731
    results.claim("backfill to files: rate / COPY TO STDOUT", speed(FILES, COPY), "≥", 0.9)
    results.claim("backfill to OpenSearch: rate / COPY piped into bulk bodies over 2 connections", speed(SEARCH, PIPELINE), "≥", 0.95)
    results.claim("the same / 2 COPYs over 4 connections, as many as conveyor may use", speed(SEARCH, PIPELINE_WIDE), "≥", 0.95)
    results.claim("backfill to OpenSearch: rate / psycopg2 + parallel_bulk",
                  paired_ratio(seconds[PEER], seconds[SEARCH][:len(seconds[PEER])]), "≥", 2)
    if PGSYNC in taken:
        results.claim("backfill to OpenSearch: rate / PGSync", seconds[PGSYNC][0] / median(seconds[SEARCH]), "≥", 8)
    else:
        results.unmeasured("backfill to OpenSearch: rate / PGSync", "≥", 8, "left out by --without-pgsync")
    factor = 500_000 / orders
    results.claim("the agent's own CPU for 500,000 documents to OpenSearch", median(column(taken, SEARCH, "cpu")) * factor, "≤", 3, "s")
    results.claim("the agent's peak memory", max(column(taken, SEARCH, "memory") + column(taken, FILES, "memory")) / 2**20, "≤", 64, "MiB")
    results.remark("Conveyor's time runs from the creation of the delivery, the agent being up, to the last checkpoint: noticing the "
                   "delivery, making the index and restoring its settings are included. The floors' runs from their first query to the "
                   "last answer; their indices are made beforehand.")
    results.keep(rounds=taken)
