"""Comparing an index with its view by content, against sending every document again."""
import shutil
import subprocess
import time
from statistics import median

from lib import delivery, proc, shop
from lib.agent import ROLE, Agent, create_role
from lib.rounds import column, interleave
from lib.stats import paired_ratio

TITLE = "Verify: the shop's orders against their index"
NAME = "orders"
RESEND, VERIFY, READ = "resync_all: send every document again", "conveyor verify", "COPY over 2 connections (floor of the read here)"


def run(bench, results):
    orders, rounds = bench.orders or bench.size(1_000_000, 10_000), bench.rounds or bench.size(3, 1)
    cluster = bench.cluster(wal_level="replica")
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
            with Agent(bench.conveyor, cluster, "shop", bench.results_dir / "agent-verify.log") as agent:
                agent.wait_ready(db)
                delivery.create(db, NAME, "orders", "elasticsearch", {"url": search.url}, NAME)
                delivery.wait_backfilled(db, NAME, agent)
                delivery.wait_delivered(db, NAME)      # the index has its settings back
                work = Work(bench, cluster, search, db, agent, orders)
                work.verify()
                taken = interleave({READ: rounds, VERIFY: rounds, RESEND: rounds}, rounds, work, bench.say)
    finally:
        search.stop()
        cluster.drop()
        shutil.rmtree(search.dir, ignore_errors=True)
    _report(results, taken, orders)


class Work:
    def __init__(self, bench, cluster, search, db, agent, orders):
        self.bench, self.cluster, self.search, self.db, self.agent, self.orders = bench, cluster, search, db, agent, orders
        self.measure = {READ: self.read, VERIFY: self.verify, RESEND: self.resend}

    def __call__(self, name):
        search, machine = proc.cpu_seconds(self.search.pid()), proc.machine_cpu_seconds()
        began = time.perf_counter()
        self.measure[name]()
        return {"seconds": time.perf_counter() - began, "search_cpu": proc.cpu_seconds(self.search.pid()) - search,
                "machine_cpu": proc.machine_cpu_seconds() - machine}

    def read(self):
        half = self.orders // 2
        copies = [subprocess.Popen([self.cluster.bin / "psql", "-XAtq", "-d", self.cluster.conninfo("shop"), "-c",
                                    f"COPY ({shop.DOCUMENTS} WHERE d.id {side} {half}) TO STDOUT"], stdout=subprocess.DEVNULL)
                  for side in ("<=", ">")]
        if any([copy.wait() for copy in copies]):
            raise RuntimeError("COPY failed")

    def verify(self):
        ended = subprocess.run([self.bench.conveyor, "verify", NAME, "--database", self.cluster.conninfo("shop", ROLE)],
                               stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
        if ended.returncode or f"{self.orders:,} documents compared: equal" not in ended.stderr:
            raise RuntimeError(f"conveyor verify says {ended.returncode}: {ended.stdout[:500]}{ended.stderr[-500:]}")

    def resend(self):
        request = self.db.value("SELECT conveyor.resync_all(%s)", (NAME,))
        deadline = time.monotonic() + 1800
        while self.db.value("SELECT state FROM conveyor.resync_status WHERE id = %s", (request,)) != "finished":
            self.agent.check(deadline)
            time.sleep(0.05)


def _report(results, taken, orders):
    results.table(f"{orders:,} documents, equal on both sides, medians of interleaved rounds",
                  ["what", "seconds", "documents/s", "OpenSearch CPU s", "CPU s in all", "rounds"],
                  [[name, median(column(taken, name, "seconds")), orders / median(column(taken, name, "seconds")),
                    median(column(taken, name, "search_cpu")), median(column(taken, name, "machine_cpu")), len(taken[name])]
                   for name in taken])
    results.claim("verify: time / sending every document again",
                  paired_ratio(column(taken, VERIFY, "seconds"), column(taken, RESEND, "seconds")), "≤", 0.05)
    results.keep(rounds=taken)
