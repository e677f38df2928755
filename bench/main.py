"""Runs the parts of the benchmark one after another; see bench/run."""
import argparse
import importlib
import os
import signal
import sys
import time
from pathlib import Path

from lib import machine, report
from lib.cluster import Cluster
from lib.results import Results
from lib.search import Search

PARTS = report.ORDER


class Bench:
    """What every part is given: sizes, servers, where things are."""

    def __init__(self, arguments):
        self.quick, self.pgsync = arguments.quick, not arguments.without_pgsync
        self.rounds, self.orders = arguments.rounds, arguments.orders
        self.results_dir = machine.ROOT / "build" / "bench"
        self.folder = Path(os.environ["BENCH_FOLDER"])
        self.conveyor = Path(os.environ["CONVEYOR"])
        self.python = self.results_dir / "peers" / "bin" / "python"
        self.peer_dir = machine.ROOT / "bench" / "peers"
        self.search_port = int(os.environ.get("BENCH_SEARCH_PORT", 9290))
        self._began = time.monotonic()

    def say(self, text):
        print(f"[{time.monotonic() - self._began:4.0f}s] {text}", flush=True)

    def size(self, full, quick):
        return quick if self.quick else full

    def cluster(self, **settings):
        return Cluster(os.environ["PG_CONFIG"], self.folder / "cluster", settings)

    def search(self):
        return Search(self.folder / "opensearch", self.search_port)


def parse():
    parser = argparse.ArgumentParser(prog="bench/run")
    parser.add_argument("parts", nargs="*", metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--quick", action="store_true", help="small sizes: a rehearsal")
    parser.add_argument("--rounds", type=int, help="rounds of each comparison")
    parser.add_argument("--orders", type=int, help="documents of the shop in backfill and live (500,000) and in fanout (1,000,000)")
    parser.add_argument("--without-pgsync", action="store_true", help="leave out the slowest peer")
    parser.add_argument("--report", action="store_true", help="write docs/results.md from the last results")
    arguments = parser.parse_args()
    for part in arguments.parts:
        if part not in PARTS:
            parser.error(f"there is no part \"{part}\"; parts are: {', '.join(PARTS)}")
    return arguments


def main():
    arguments = parse()
    results_dir = machine.ROOT / "build" / "bench"
    if arguments.report:
        report.write(results_dir, machine.ROOT / "bench" / "results-head.md", machine.ROOT / "docs" / "results.md")
        return 0
    # Ended from outside, it ends what it started: the parts stop their servers on the way out.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    bench, missed = Bench(arguments), 0
    for part in arguments.parts or PARTS:
        module = importlib.import_module(f"parts.{part}")
        results = Results(part, module.TITLE, results_dir, arguments)
        bench.say(f"{part}: {module.TITLE}")
        module.run(bench, results)
        results.save()
        for line in report.claims_table([results.data]):
            print("  " + line)
        missed += sum(claim["reached"] is False for claim in results.data["claims"])
    bench.say(f"results are in {results_dir}; {missed} targets missed")
    return 0


if __name__ == "__main__":
    sys.exit(main())
