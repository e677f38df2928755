"""Runs generated cases in a database of this process; a failing one is cut down and written out as SQL."""

import collections
import dataclasses
import os
import re

import psycopg2

from case import Outcome, Run, Sessions, generate
from mutations import MUTATIONS
from script import script
from shrink import Shrinker

CASES_A_DATABASE = 300  # dropped schemas leave rows in the catalogs


@dataclasses.dataclass
class Report:
    """What came out of some seeds; goes from a worker to the tests."""

    failures: list = dataclasses.field(default_factory=list)  # (seed, text)
    counts: collections.Counter = dataclasses.field(default_factory=collections.Counter)
    refusals: collections.Counter = dataclasses.field(default_factory=collections.Counter)  # by message, of views without a trap
    refused_traps: collections.Counter = dataclasses.field(default_factory=collections.Counter)
    forms: collections.Counter = dataclasses.field(default_factory=collections.Counter)  # of views that were followed

    def add(self, other):
        self.failures += other.failures
        for name in ("counts", "refusals", "refused_traps", "forms"):
            getattr(self, name).update(getattr(other, name))


def make_database(name):
    connection = psycopg2.connect(dbname="postgres")
    connection.autocommit = True
    with connection.cursor() as cursor:
        cursor.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        cursor.execute(f"CREATE DATABASE {name}")
    connection.close()
    connection = psycopg2.connect(dbname=name)
    connection.autocommit = True
    with connection.cursor() as cursor:
        cursor.execute("CREATE EXTENSION pg_conveyor")
        cursor.execute("""SELECT conveyor.create_target('nowhere', 'ndjson', '{"directory": "/tmp"}')""")
    connection.close()
    return name


class Place:
    """This process's database, made anew from time to time, and after an accident."""

    def __init__(self):
        self.sessions, self.cases = None, 0

    def take(self):
        if self.sessions is None or self.cases >= CASES_A_DATABASE:
            self.drop()
            name = make_database(f"derive_{os.getpid()}")
            self.sessions, self.cases = Sessions(lambda options: psycopg2.connect(dbname=name, options=options)), 0
        self.cases += 1
        return self.sessions

    def drop(self):
        if self.sessions:
            self.sessions.close()
        self.sessions = None


_place = Place()


def run_case(case):
    try:
        return Run(_place.take(), case).go()
    except psycopg2.Error as error:  # a lost connection, most of all
        _place.drop()
        return Outcome(faults=[("the case cannot be run to its end", f"{error.pgcode} {error}")])


def run(seeds, most_failures=3):
    """All cases of these seeds; the first few failures are cut down."""
    report = Report()
    for seed in seeds:
        case = generate(seed)
        outcome = run_case(case)
        report.counts.update(outcome.counts)
        report.counts["schemas"] += 1
        refused = {view.name for view, _ in outcome.refused}
        for view, message in outcome.refused:
            message = re.sub(r"generated\.\w+", "…", message)
            trapped = any(form.startswith("trap") for form in view.forms)
            (report.refused_traps if trapped else report.refusals)[message] += 1
        for view in case.views:
            if view.name not in refused:
                report.forms.update(view.forms)
        if outcome.failed:
            report.failures.append((seed, describe(case, outcome, len(report.failures) < most_failures)))
    return report


def describe(case, outcome, cut):
    if outcome.faults:
        text = "\n".join(f"{what}: {message}" for what, message in outcome.faults[:3])
    else:
        missed = outcome.missed[0]
        text = f"the window of {missed.feed} reports {missed.reported} and not {missed.keys}, which changed: {missed.contents}"
    command = f"CONVEYOR_DERIVE_SEEDS={case.seed} tests/run derive"
    if cut:
        case = Shrinker(_place.take(), case, outcome).run()
        text += f"\n{script(case, command)}"
    return f"seed {case.seed} ({command}): {text}"


def noticed(mutation, seeds):
    """How many of these cases miss a document when their watches are mutated."""
    return sum(bool(run_case(dataclasses.replace(generate(seed), mutation=MUTATIONS[mutation])).missed) for seed in seeds)
