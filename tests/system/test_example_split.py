"""docs/example-split.md is true: its blocks run as they stand there, and print what it shows."""

import pathlib
import threading

import psycopg2
import pytest

from page import Reader, blocks_of, shows
from waiting import until

ROOT = pathlib.Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "example-split.md").read_text()


@pytest.fixture
def reader(make_cluster, tmp_path):
    """Somebody with a server of his own, which he may kill, and with Flyway."""
    cluster = make_cluster("split", {"max_worker_processes": "20"})
    programs = tmp_path / "bin"
    programs.mkdir()
    flyway = programs / "flyway"
    flyway.write_text(f'#!/bin/sh\nexec {ROOT}/tools/flyway.sh run -configFiles=flyway.conf -url="jdbc:postgresql://127.0.0.1:$PGPORT/$PGDATABASE" "$@" < /dev/null 2>&1\n')
    flyway.chmod(0o755)
    folder = tmp_path / "split"
    folder.mkdir()
    return Reader(cluster, folder, programs)


class Application:
    """Counts up what one order costs, in the old table until the cutover, and in the view that has its name from then on."""

    ORDER = 5000

    def __init__(self, cluster):
        self.cluster = cluster
        self.stopped = threading.Event()
        self.committed = 0
        self.unknown = 0  # the server died before it told
        self.thread = threading.Thread(target=self.run)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stopped.set()
        self.thread.join()

    def run(self):
        connection = None
        while not self.stopped.is_set():
            sent = False
            try:
                connection = connection or self.cluster.connect("monolith", "splitter")
                with connection.cursor() as cursor:
                    sent = True
                    cursor.execute("UPDATE legacy.orders SET cents = cents + 1 WHERE id = %s", (self.ORDER,))
                self.committed += 1
            except (psycopg2.OperationalError, psycopg2.InterfaceError):
                self.unknown += sent
                connection = None
                self.stopped.wait(0.05)


def ask(reader, query, *values):
    connection = reader.cluster.connect("monolith", "splitter")
    with connection.cursor() as cursor:
        cursor.execute(query, values or None)
        rows = cursor.fetchall()
    connection.close()
    return rows


def test_the_page_is_true(reader):
    blocks = blocks_of(PAGE)
    begun, compared, cut_over = (
        next(number for number, block in enumerate(blocks) if text in block.text and block.name is None) for text in ("flyway -target=10", "verify_job", "flyway migrate")
    )
    for block in blocks[:begun]:
        reader.follow(block)
    ((before,),) = ask(reader, "SELECT cents FROM legacy.orders WHERE id = %s", Application.ORDER)
    with Application(reader.cluster) as early:
        for block in blocks[begun:compared]:
            reader.follow(block)
        assert early.committed > 0
    # What is on its way would be told by a notice.
    until(lambda: ask(reader, "SELECT lag FROM conveyor.job_status WHERE job = 'orders'")[0][0].total_seconds() == 0, "nothing is on its way")
    for block in blocks[compared:cut_over]:
        reader.follow(block)
    with Application(reader.cluster) as late:
        reader.follow(blocks[cut_over])
        done = late.committed
        until(lambda: late.committed > done, "the application goes on in the new table")
    for block in blocks[cut_over + 1 :]:
        reader.follow(block)
    ((after,),) = ask(reader, "SELECT amount FROM sales.orders WHERE id = %s", Application.ORDER)
    assert late.unknown == 0
    assert early.committed + late.committed <= after - before <= early.committed + early.unknown + late.committed
    assert ask(reader, "SELECT count(*), count(*) FILTER (WHERE late) FROM logistics.events") == [(100000, 20000)]


def test_a_page_that_says_something_else_is_noticed():
    assert shows(" a |  b\n---+-----\n 1 | 22\n", "a  |  b  \n----+----\n 10 | 2\n", about=True)
    assert not shows(" a\n---\n 1\n", " a\n----\n 10\n")
    assert shows(" a\n---\n 1\n", " a  \n----\n  1\n")
    assert shows("one\ntwo\nthree\n", "…\nthree\n") and shows("one\ntwo\nthree\n", "one\n…\n")
    assert not shows("one\ntwo\n", "one\n")
    assert not shows("one\n", "one\ntwo\n")
    assert not shows("state | finished\n", "state | running\n")
    assert not shows("one\ntwo\n", "two\n…\n")
