"""Sending again: ids from files, standard input and addresses, keys from a query; paused, cancelled, killed on the way."""

import gzip
import os
import random
import signal
import subprocess

import pytest

from equality import assert_equal_both_ways
from file_server import FileServer
from shop import ORDERS, create_delivery
from waiting import holds, until

LONG = os.environ.get("CONVEYOR_LONG") == "1"
IDS = 1_000_000 if LONG else 200_000
DOCUMENTS = 50_000
MEGABYTE = 1024 * 1024
SIGNATURE = "X-Signature=nobody-may-see-this"


class Program:
    """The program as an operator calls it, in the shop's database."""

    def __init__(self, database):
        self.database = database
        database.sql("DO $$ BEGIN IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'operator') THEN CREATE ROLE operator LOGIN; END IF; END $$")
        database.sql("GRANT conveyor_operator TO operator; GRANT USAGE ON SCHEMA shop TO operator; GRANT SELECT ON shop.orders TO operator")
        self.environment = {key: value for key, value in os.environ.items() if not key.startswith(("PG", "CONVEYOR_")) and not key.lower().endswith("_proxy")}

    def command(self, *arguments, conninfo=None):
        return [os.environ["CONVEYOR_AGENT"], *arguments, "--database", conninfo or self.database.cluster.conninfo(self.database.name, "operator")]

    def start(self, *arguments):
        return subprocess.Popen(
            self.command(*arguments), env=self.environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )

    def run(self, *arguments, text=b"", conninfo=None, timeout=120):
        """(exit status, output, errors)"""
        done = subprocess.run(self.command(*arguments, conninfo=conninfo), env=self.environment, input=text, capture_output=True, timeout=timeout)
        return done.returncode, done.stdout.decode(), done.stderr.decode()


@pytest.fixture
def program(database):
    return Program(database)


@pytest.fixture
def file_server(tmp_path):
    made = []

    def make(content, **options):
        made.append(FileServer(tmp_path, content, **options))
        return made[-1]

    yield make
    for server in made:
        server.close()


def latest(database):
    return database.record("SELECT * FROM conveyor.resync_status ORDER BY id DESC LIMIT 1")


def request_of(output):
    """The id in "request 3: 10 keys; …"."""
    return int(output.split()[1].rstrip(":"))


def memory(pid, what):
    with open(f"/proc/{pid}/status") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith(f"{what}:"))


def damage(search, orders, *ids):
    """Documents that only sending them again brings back."""
    for id in ids:
        search.call("DELETE", f"/{orders.index()}/_doc/{id}")


# --- files ---


def test_ids_come_from_a_file_whatever_it_was_written_with(live_orders, database, search, program, tmp_path):
    orders, agent = live_orders
    damage(search, orders, 1, 2, 3, 4)
    search.call("PUT", f"/{orders.index()}/_doc/777777", {"status": "left over"})
    (tmp_path / "ids").write_bytes("\ufeff1\r\n\r\n002\r\n 3\n777777\n4".encode())
    status, output, errors = program.run("resync", orders.name, "--keys", str(tmp_path / "ids"), "--wait")
    assert (status, errors) == (0, ""), output + errors
    row = database.record("SELECT * FROM conveyor.resync_status WHERE id = %s", request_of(output))
    expected = {"source": "file", "state": "finished", "keys_done": 5, "keys_total": 5, "percent": 100, "requested_by": "operator", "last_error": None}
    assert {name: row[name] for name in expected} == expected
    assert row["reason"] == str(tmp_path / "ids")
    assert assert_equal_both_ways(orders) == ORDERS


def test_ids_come_from_standard_input_also_compressed(live_orders, database, search, program):
    orders, agent = live_orders
    damage(search, orders, *range(1, 11))
    text = "".join(f"{id}\n" for id in range(1, ORDERS + 1)).encode()
    half = len(text) // 2
    status, output, errors = program.run("resync", orders.name, "--keys", "-", "--wait", text=gzip.compress(text[:half]) + gzip.compress(text[half:]))
    assert status == 0, errors
    assert latest(database)["keys_done"] == ORDERS
    assert assert_equal_both_ways(orders) == ORDERS


@pytest.mark.endurance
def test_hundreds_of_thousands_of_ids_take_bounded_memory_on_both_sides(database, search, alias, make_target, start_agent, program, tmp_path):
    database.sql("CREATE TABLE shop.thing (id bigint PRIMARY KEY, name text); CREATE VIEW shop.thing_document AS SELECT * FROM shop.thing")
    database.sql(f"INSERT INTO shop.thing SELECT n, 'a thing of number ' || n FROM generate_series(1, {DOCUMENTS}) n")
    make_target(search.url)
    database.sql("SELECT conveyor.create_feed('things', 'shop.thing_document')")
    things = create_delivery(database, search, alias, "things_to_search", "things", view="shop.thing_document")
    agent = start_agent(database)
    things.wait_delivered(agent, timeout=120)
    damage(search, things, *range(1, 101))

    ids = [1 + n % DOCUMENTS for n in range(IDS)]
    random.Random(1).shuffle(ids)
    with open(tmp_path / "ids", "w") as file:
        file.writelines(f"{id}\n" for id in ids)
    # Its size is read when all keys are there, and before it has gone.
    reader, writer = os.pipe()
    process = subprocess.Popen(program.command("resync", things.name, "--keys", "-"), env=program.environment, stdin=reader, stdout=subprocess.PIPE)
    os.close(reader)
    with open(writer, "wb") as pipe:
        pipe.write((tmp_path / "ids").read_bytes())
        pipe.flush()
        backend = until(lambda: database.one("SELECT loader FROM conveyor.request WHERE state = 'loading'"), "the list is being read")
        until(lambda: database.one("SELECT keys_total FROM conveyor.request WHERE state = 'loading'") > IDS - 1100, "all is read", timeout=120)
        anonymous, program_peak = memory(backend, "RssAnon"), memory(process.pid, "VmHWM")
    assert process.wait(60) == 0
    row = things.wait_request(latest(database)["id"], agent, timeout=600)
    assert (row["state"], row["keys_done"], row["keys_total"]) == ("finished", IDS, IDS), row
    assert database.one("SELECT count(*) FROM conveyor.request_page") == 0
    assert program_peak <= 40 * MEGABYTE, f"the program needed {program_peak / MEGABYTE:.1f} MB"
    assert anonymous <= 40 * MEGABYTE, f"its session needed {anonymous / MEGABYTE:.1f} MB"
    assert agent.memory_peak() <= 64 * MEGABYTE, f"the agent needed {agent.memory_peak() / MEGABYTE:.1f} MB"
    assert assert_equal_both_ways(things) == DOCUMENTS


def test_a_list_with_lines_that_are_no_ids_sends_nothing_and_names_them(live_orders, database, program, tmp_path):
    orders, agent = live_orders
    before = orders.status()["documents_sent"]
    (tmp_path / "ids").write_bytes(b"1\n2\nthree\n\xff\n" + b"4\n" * 1500 + b"5" * 70000 + b"\nsix")
    status, output, errors = program.run("resync", orders.name, "--keys", str(tmp_path / "ids"))
    assert (status, output) == (1, "")
    name = tmp_path / "ids"
    lines = errors.splitlines()
    assert f'{name}:4: "\\xff": it is not UTF-8' in lines, errors
    assert f'{name}:3: "three": invalid input syntax for type bigint: "three"' in lines
    assert any(line.startswith(f'{name}:1505: "5555') and line.endswith("it is longer than 65536 bytes") for line in lines), errors
    assert f'{name}:1506: "six": invalid input syntax for type bigint: "six"' in lines
    assert lines[-1] == f"conveyor: nothing is sent: 4 lines of {name} are no ids"
    row = latest(database)
    assert (row["state"], row["keys_done"]) == ("failed", 0)
    assert row["last_error"].startswith("4 of its lines are no ids, the first: ")
    assert database.one("SELECT count(*) FROM conveyor.request_page") == 0
    database.sql("UPDATE shop.orders SET status = 'later' WHERE id = 1")
    orders.wait_delivered(agent)
    assert orders.status()["documents_sent"] == before + 1


def test_lines_that_are_no_ids_may_be_left_out(live_orders, database, search, program):
    orders, agent = live_orders
    damage(search, orders, 1, 2)
    status, output, errors = program.run("resync", orders.name, "--keys", "-", "--skip-invalid", "--wait", text=b"1\nx\n2\n")
    assert status == 1, "something was not as it should be"
    assert 'standard input:2: "x": invalid input syntax for type bigint: "x"' in errors
    assert (latest(database)["state"], latest(database)["keys_done"]) == ("finished", 2)
    assert assert_equal_both_ways(orders) == ORDERS


def test_a_program_that_is_killed_or_told_to_stop_while_it_reads_sends_nothing(live_orders, database, program):
    orders, agent = live_orders
    many = "".join(f"{n}\n" for n in range(1, 1501)).encode()

    def begun():
        process = program.start("resync", orders.name, "--keys", "-")
        process.stdin.write(many)
        process.stdin.flush()
        until(lambda: database.one("SELECT keys_total FROM conveyor.request WHERE state = 'loading'") == 1000, "a page is there")
        return process

    process = begun()
    request = latest(database)["id"]
    process.kill()
    process.communicate()
    row = orders.wait_request(request, agent)
    assert (row["state"], row["last_error"]) == ("failed", "the session that brought the keys has ended before the last of them")

    process = begun()
    request = latest(database)["id"]
    process.send_signal(signal.SIGINT)
    assert process.wait(20) == 1
    assert process.communicate()[1].decode() == "conveyor: interrupted\n"
    row = orders.wait_request(request, agent)
    assert (row["state"], row["last_error"]) == ("failed", "interrupted")

    process = begun()
    database.sql("SELECT conveyor.cancel_resync(%s)", latest(database)["id"])
    _, errors = process.communicate(many)
    assert process.returncode == 1
    assert f"request {latest(database)['id']} was cancelled" in errors.decode()
    assert database.one("SELECT count(*) FROM conveyor.request_page") == 0


# --- addresses ---


@pytest.mark.parametrize("ranges", [True, False], ids=["by range", "anew where the server knows no ranges"])
def test_a_list_at_an_address_is_read_to_its_end_although_the_connection_is_cut(ranges, live_orders, database, search, program, file_server):
    orders, agent = live_orders
    damage(search, orders, 1, ORDERS)
    content = "".join(f"{id}\n" for id in range(1, ORDERS + 1)).encode()
    server = file_server(content, cut_after=len(content) // 3 + 1, ranges=ranges)
    address = server.address("/bucket/ids.txt?" + SIGNATURE)
    status, output, errors = program.run("resync", orders.name, "--keys", address, "--ca-file", server.certificate, "--wait")
    assert status == 0, errors
    assert len(server.requests) == 3, server.requests
    assert all(path.endswith(SIGNATURE) for path, _, _ in server.requests)
    assert server.requests[1][1:] == (f"bytes={len(content) // 3 + 1}-", '"the-file"'), "the rest is asked for"
    row = latest(database)
    assert (row["state"], row["keys_done"], row["reason"]) == ("finished", ORDERS, server.address("/bucket/ids.txt"))
    assert assert_equal_both_ways(orders) == ORDERS

    everything = output + errors + agent.log_text() + open(database.cluster.log).read()
    everything += str(database.sql("SELECT r::text FROM conveyor.request r UNION ALL SELECT j::text FROM conveyor.journal j"))
    assert SIGNATURE not in everything


def test_what_an_address_refuses_is_said_without_its_signature(live_orders, database, program, file_server):
    orders, agent = live_orders
    server = file_server(b"1\n", status=403)
    address = server.address("/ids.txt?" + SIGNATURE)
    status, output, errors = program.run("resync", orders.name, "--keys", address, "--ca-file", server.certificate)
    assert status == 1
    assert "could not read https://localhost" in errors and "403" in errors and SIGNATURE not in errors
    row = latest(database)
    assert row["state"] == "failed" and "403" in row["last_error"] and SIGNATURE not in row["last_error"]

    status, output, errors = program.run("resync", orders.name, "--keys", address)
    assert status == 3 and "certificate" in errors and SIGNATURE not in errors, "an authority that nobody knows"
    status, output, errors = program.run("resync", orders.name, "--keys", "https://anna:secret@localhost/ids")
    assert status == 2 and "secret" not in errors


# --- queries ---


def test_keys_come_from_a_query(live_orders, database, search, program):
    orders, agent = live_orders
    damage(search, orders, *range(1, 11))
    status, output, errors = program.run("resync", orders.name, "--query", "SELECT id FROM shop.orders WHERE id <= 10", "--wait")
    assert (status, errors) == (0, ""), errors
    row = latest(database)
    assert (row["source"], row["state"], row["keys_done"], row["requested_by"]) == ("query", "finished", 10, "operator")
    assert assert_equal_both_ways(orders) == ORDERS


def test_a_query_that_is_none_is_refused_with_its_place_and_reason(live_orders, database, program):
    orders, agent = live_orders
    requests = database.one("SELECT count(*) FROM conveyor.request")
    for query, reason in [
        ("SELECT id FRM shop.orders", 'query:1:15: error: syntax error at or near "shop"'),
        ("SELECT id FROM shop.orders; SELECT 1", "query: error: query of a resync must be one statement, not 2"),
        ("DELETE FROM shop.orders RETURNING id", "query: error: query of a resync must be a SELECT"),
        ("WITH d AS (DELETE FROM shop.orders RETURNING id)\nSELECT id FROM d", 'query:1:6: error: query of a resync must not change anything: "d" does'),
        ("SELECT id, status FROM shop.orders", 'query: error: query of a resync returns 2 columns, the key of feed "orders" has 1'),
        ("SELECT id FROM shop.orders\nWHERE pg_sleep(1) IS NULL", "query:2:7: error: query of a resync uses the volatile function pg_sleep(), which may do more than return keys"),
        ("SELECT id FROM shop.items", "permission denied for table items"),
        ("SELECT id / (id - id) FROM shop.orders", "division by zero"),
    ]:
        status, output, errors = program.run("resync", orders.name, "--query", query)
        assert (status, output) == (1, ""), query
        assert reason in errors, errors
    assert database.one("SELECT count(*) FROM conveyor.request") == requests
    assert assert_equal_both_ways(orders) == ORDERS


def test_lint_says_what_speaks_against_the_queries_in_files(live_orders, program, tmp_path):
    orders, agent = live_orders
    good, bad, sample = tmp_path / "good.sql", tmp_path / "bad.sql", tmp_path / "sample.sql"
    good.write_text("-- recent ones\nSELECT id\n  FROM shop.orders\n WHERE placed_at > now() - interval '1 day';\n")
    bad.write_text("SELECT id\n  FROM shop.ordes;\n")
    sample.write_text("SELECT id FROM shop.orders WHERE random() < 0.1\n")
    assert program.run("lint", str(good), "--delivery", orders.name) == (0, "", "")
    status, output, errors = program.run("lint", str(good), str(bad), str(sample), "--delivery", orders.name)
    assert (status, errors) == (1, "")
    assert output.splitlines() == [
        f'{bad}:2:8: error: relation "shop.ordes" does not exist',
        f"{sample}:1:34: warning: query of a resync uses the volatile function random(), so it returns other keys each time",
        "  hint: That is meant for a sample; else compare with a constant.",
    ]
    assert program.run("lint", "-", text=b"SELECT 1 / 0")[1] == "-: error: division by zero\n", "a trial for one row"
    assert program.run("lint", "-", "--no-trial", text=b"SELECT 1 / 0")[0] == 0


def test_exit_statuses_tell_usage_from_a_database_that_is_not_there(live_orders, program, tmp_path):
    orders, agent = live_orders
    nowhere = "host=/nonexistent dbname=x"
    assert program.run("resync", orders.name)[0] == 2
    assert program.run("resync", orders.name, "--keys", "-", "--query", "SELECT 1")[0] == 2
    assert program.run("resync", orders.name, "--keys", str(tmp_path / "nothing"))[0] == 2
    assert program.run("resync", orders.name, "--keys", str(tmp_path))[0] == 2
    assert program.run("lint", str(tmp_path / "nothing.sql"))[0] == 2
    assert program.run("resync", "unknown", "--keys", "-")[0] == 1
    assert program.run("resync", orders.name, "--keys", "-", conninfo=nowhere)[0] == 3
    assert program.run("lint", "-", conninfo=nowhere)[0] == 3


# --- on the way ---


def under_way(database, orders, rate=100):
    """A resync of all orders that a rate makes last, of which something has been done."""
    database.sql("SELECT conveyor.alter_delivery(%s, %s::jsonb)", orders.name, f'{{"rate": {rate}}}')
    request = database.one("SELECT conveyor.resync_query(%s, 'SELECT id FROM shop.orders')", orders.name)
    row = until(lambda: (row := latest(database))["keys_done"] and row, lambda: f"something is done: {latest(database)}", 30)
    assert (row["id"], row["state"]) == (request, "running"), row
    return request


def unrated(database, orders):
    database.sql("""SELECT conveyor.alter_delivery(%s, '{"rate": null}')""", orders.name)


def test_a_resync_pauses_and_goes_on(live_orders, database, search):
    orders, agent = live_orders
    damage(search, orders, ORDERS)
    request = under_way(database, orders)
    database.sql("SELECT conveyor.pause_resync(%s)", request)
    unrated(database, orders)
    # What was read before the pause may still arrive, then nothing does.
    database.sql("UPDATE shop.orders SET status = 'changed during the pause' WHERE id = 7")
    orders.wait_delivered(agent)
    row = until(lambda: (row := latest(database))["state"] == "paused" and row, "it is paused")
    holds(lambda: latest(database)["keys_done"] < ORDERS, lambda: f"it stays incomplete: {latest(database)}", 1.5)
    assert latest(database)["finished_at"] is None
    database.sql("SELECT conveyor.resume_resync(%s)", request)
    row = orders.wait_request(request, agent)
    assert (row["state"], row["keys_done"]) == ("finished", ORDERS)
    assert assert_equal_both_ways(orders) == ORDERS


def test_a_resync_that_is_cancelled_stays_so(live_orders, database):
    orders, agent = live_orders
    request = under_way(database, orders)
    database.sql("SELECT conveyor.cancel_resync(%s)", request)
    unrated(database, orders)
    database.sql("UPDATE shop.orders SET status = 'changed afterwards' WHERE id = 7")
    orders.wait_delivered(agent)
    row = latest(database)
    assert row["state"] == "cancelled" and row["keys_done"] < ORDERS, row
    assert assert_equal_both_ways(orders) == ORDERS


def test_live_changes_do_not_wait_for_a_resync(live_orders, database):
    orders, agent = live_orders
    request = under_way(database, orders, rate=200)
    for n in range(5):
        database.sql("UPDATE shop.orders SET status = 'live %s' WHERE id = %s", n, ORDERS - n)
        orders.wait_delivered(agent)
    row = latest(database)
    assert (row["id"], row["state"]) == (request, "running"), f"all of the list was sent before the changes: {row}"
    unrated(database, orders)
    orders.wait_request(request, agent)
    assert assert_equal_both_ways(orders) == ORDERS


def test_an_agent_that_dies_in_the_middle_is_succeeded_and_each_key_counts_once(live_orders, database, search, start_agent):
    orders, agent = live_orders
    database.sql("INSERT INTO shop.orders (id, customer_id) SELECT n, 1 FROM generate_series(200001, 230000) n")
    orders.wait_delivered(agent, timeout=60)
    agent.terminate()
    total = ORDERS + 30000
    damage(search, orders, 1, 200001, 230000)
    request = database.one("SELECT conveyor.resync_query(%s, 'SELECT id FROM shop.orders ORDER BY id')", orders.name)
    doomed = start_agent(database, failpoint="before_request_keys_done")
    until(lambda: not doomed.alive(), "the agent dies with documents sent and nothing recorded", 30)
    assert latest(database)["keys_done"] == 0
    database.sql("""SELECT conveyor.alter_delivery(%s, '{"rate": 2000}')""", orders.name)
    second = start_agent(database)
    until(lambda: latest(database)["keys_done"] > 0, "another one goes on", 30)
    second.kill()
    assert latest(database)["keys_done"] < total
    unrated(database, orders)
    row = orders.wait_request(request, start_agent(database), timeout=90)
    assert (row["state"], row["keys_done"], row["keys_total"]) == ("finished", total, total), row
    assert assert_equal_both_ways(orders) == total
