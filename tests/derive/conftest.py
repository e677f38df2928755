"""What the proof of derived watches needs: a server that tests/run has started (PGHOST), databases on it, and workers for the generated cases.

CONVEYOR_DERIVE_SEEDS="FIRST-LAST" or "SEED" chooses the generated cases; by default `make check` runs SEEDS. The same seed is the same case.
"""

import concurrent.futures
import os

import psycopg2
import pytest

import generated
from case import Sessions

SEEDS = "1-400"
BLOCK = 20
_lines = []


def seeds():
    text = os.environ.get("CONVEYOR_DERIVE_SEEDS") or SEEDS
    first, _, last = text.partition("-")
    return range(int(first), int(last or first) + 1)


def blocks():
    chosen = seeds()
    size = max(BLOCK, len(chosen) // 2000)
    return [chosen[at: at + size] for at in range(0, len(chosen), size)]


def pytest_generate_tests(metafunc):
    if "block" in metafunc.fixturenames:
        metafunc.parametrize("block", blocks(), ids=lambda block: f"{block[0]}-{block[-1]}")


@pytest.fixture(scope="session")
def record():
    """Keeps a line for the end of the report."""
    return _lines.append


def pytest_terminal_summary(terminalreporter):
    for line in _lines:
        terminalreporter.write_line(line)


@pytest.fixture(scope="session")
def workers():
    """One for each processor, each with a database of its own."""
    generated.make_database("derive_first")  # the roles, which are the whole server's, are made once
    with concurrent.futures.ProcessPoolExecutor(os.cpu_count()) as pool:
        yield pool


@pytest.fixture(scope="session")
def results(workers):
    """The blocks of generated cases, begun all at once: each test waits for its own."""
    return {block: workers.submit(generated.run, block) for block in blocks()}


@pytest.fixture(scope="module")
def make_sessions():
    """Sessions in a database of their own, with the extension and a target, working in a schema of this name."""
    made = []

    def make(schema):
        name = generated.make_database(f"derive_{schema}")
        sessions = Sessions(lambda options: psycopg2.connect(dbname=name, options=options), schema)
        made.append(sessions)
        return sessions

    yield make
    for sessions in made:
        sessions.close()
