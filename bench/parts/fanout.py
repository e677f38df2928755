"""One row that many documents contain: a customer with a million orders changes."""
import shutil
import time
from statistics import median

from lib import delivery, shop
from lib.agent import ROLE, Agent, create_role
from lib.proc import PeakMemory
from lib.rounds import column, interleave
from lib.stats import paired_ratio

TITLE = "Fan-out: one customer of many orders changes"
STANDING = "standing"
BACKFILL, FANOUT = "backfill of as many documents", "one row of the customer changes"


def run(bench, results):
    orders, rounds = bench.orders or bench.size(1_000_000, 5_000), bench.rounds or bench.size(3, 1)
    cluster = bench.cluster(wal_level="replica")
    search = bench.search()
    cluster.start()
    try:
        search.start()
        cluster.create_database("shop", "pg_conveyor")
        with cluster.connect("shop") as db:
            bench.say(f"filling the shop: one customer with {orders:,} orders")
            shop.fill(db, orders, 1)
            shop.create_feed(db)
            create_role(db)
            with Agent(bench.conveyor, cluster, "shop", bench.results_dir / "agent-fanout.log") as agent:
                agent.wait_ready(db)
                delivery.create(db, STANDING, "orders", "elasticsearch", {"url": search.url}, STANDING)
                delivery.wait_backfilled(db, STANDING, agent)
                work = Work(cluster, search, db, agent, orders)
                work.fanout()
                taken = interleave({BACKFILL: rounds, FANOUT: rounds}, rounds,
                                   lambda name: work.backfill() if name == BACKFILL else work.fanout(), bench.say)
                agent_peak = agent.peak_bytes()
    finally:
        search.stop()
        cluster.drop()
        shutil.rmtree(search.dir, ignore_errors=True)
    _report(results, taken, orders, agent_peak)


class Work:
    def __init__(self, cluster, search, db, agent, orders):
        self.cluster, self.search, self.db, self.agent, self.orders = cluster, search, db, agent, orders
        self.count = 0

    def _watched(self, work):
        """The agent's backends come and go: they are asked for."""
        with self.cluster.connect() as monitor, PeakMemory(lambda: [row[0] for row in monitor.rows(
                "SELECT pid FROM pg_stat_activity WHERE usename = %s", (ROLE,))]) as memory:
            cpu = self.agent.cpu()
            seconds = work()
            return {"seconds": seconds, "cpu": self.agent.cpu() - cpu, "backend_memory": memory.peak}

    def backfill(self):
        self.count += 1
        name = f"fill_{self.count}"

        def fill():
            delivery.create(self.db, name, "orders", "elasticsearch", {"url": self.search.url}, name)
            return delivery.wait_backfilled(self.db, name, self.agent)[0]

        figures = self._watched(fill)
        concrete = next(iter(self.search.request("GET", name)))
        delivery.drop(self.db, name)
        time.sleep(1)       # the agent lets go of it
        self.search.drop(concrete)
        return figures

    def fanout(self):
        self.count += 1
        city = f"City {self.count}"

        def change():
            began = time.perf_counter()
            xid = self.db.value("WITH changed AS (UPDATE shop.customers SET city = %s WHERE id = 1) "
                                "SELECT pg_current_xact_id()::text::bigint", (city,))
            delivery.wait_acknowledged(self.db, STANDING, xid, self.agent)
            return time.perf_counter() - began

        figures = self._watched(change)
        self.search.request("POST", f"{STANDING}/_refresh")
        found = self.search.request("GET", f"{STANDING}/_count", {"query": {"match_phrase": {"customer.city": city}}})["count"]
        if found != self.orders:
            raise RuntimeError(f"{found} of {self.orders} documents show the customer's new city")
        return figures


def _report(results, taken, orders, agent_peak):
    results.table(f"{orders:,} documents, medians of interleaved rounds",
                  ["what", "seconds", "documents/s", "agent CPU s", "largest backend's private MB", "rounds"],
                  [[name, median(column(taken, name, "seconds")), orders / median(column(taken, name, "seconds")),
                    median(column(taken, name, "cpu")), max(column(taken, name, "backend_memory")) / 1e6, len(taken[name])]
                   for name in taken])
    results.claim(f"fan-out of one row to {orders:,} documents: time / backfill of as many",
                  paired_ratio(column(taken, FANOUT, "seconds"), column(taken, BACKFILL, "seconds")), "≤", 1.25)
    results.claim("the agent's peak memory over all of it", agent_peak / 2**20, "≤", 64, "MiB")
    results.claim("private memory of the largest backend", max(column(taken, FANOUT, "backend_memory")) / 2**20, "≤", 128, "MiB")
    results.keep(rounds=taken)
