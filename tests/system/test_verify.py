"""`conveyor verify`: what differs between the view and the index is found by content, beside writers, and put back."""

import json
import signal
import time
import urllib.parse

import pytest

from conftest import SEARCH_PASSWORD, required
from equality import assert_equal_both_ways
from load import Load
from shop import ORDERS, create_delivery
from verify import Verify
from waiting import until

EQUAL, DIFFERENT, USAGE, UNREACHABLE = 0, 1, 2, 3


@pytest.fixture
def verify(database):
    return Verify(required("CONVEYOR_AGENT"), database.agent_conninfo(), {"CONVEYOR_SHIPPER_PASSWORD": SEARCH_PASSWORD} if SEARCH_PASSWORD else None)


def bulk(search, index, *lines):
    """Somebody else's writes: pairs of action and document."""
    answer = search.call("POST", f"/{index}/_bulk?refresh=true", "".join(json.dumps(line) + "\n" for line in lines).encode())
    assert not answer["errors"], answer


def stored(search, index, key):
    return search.call("GET", f"/{index}/_doc/{urllib.parse.quote(key, safe='')}")


def without_capture(database, statement):
    """A change that the capture does not see. It takes the catalog itself to be that blind: a new session reads the triggers as they are switched here."""
    with database.transaction() as cursor:
        cursor.execute("UPDATE pg_trigger SET tgenabled = 'D' WHERE tgname LIKE 'conveyor_capture%'")
        cursor.execute(statement)
        cursor.execute("UPDATE pg_trigger SET tgenabled = 'A' WHERE tgname LIKE 'conveyor_capture%'")


def plant(orders, database, search, agent, number=100):
    """`number` differences of each kind; returns what must be found: {kind: keys}."""
    index = orders.index()
    ids = iter(range(1, ORDERS + 1))
    take = lambda: [str(next(ids)) for _ in range(number)]  # noqa: E731
    missing, stale, altered, resurrected, left_over = take(), take(), take(), take(), take()
    extra = [f"stranger-{n}" for n in range(number // 2)] + [str(10**9 + n) for n in range(number // 2)]

    # An old version of what has changed since, under a version above the present one; and of what is gone by now.
    old = {key: stored(search, index, key)["_source"] for key in resurrected + left_over}
    database.sql("UPDATE shop.orders SET status = 'changed since' WHERE id = ANY (%s)", [int(key) for key in resurrected])
    database.sql("DELETE FROM shop.orders WHERE id = ANY (%s)", [int(key) for key in left_over])
    without_capture(database, f"UPDATE shop.orders SET status = 'nobody knows' WHERE id IN ({', '.join(stale)})")
    orders.wait_delivered(agent)
    for key in resurrected:
        bulk(search, index, {"index": {"_id": key, "version": stored(search, index, key)["_version"], "version_type": "external_gte"}}, old[key])
    for key in left_over:
        bulk(search, index, {"index": {"_id": key}}, old[key])
    for key in altered:
        bulk(search, index, {"update": {"_id": key}}, {"doc": {"status": "altered in place"}})
    for key in missing:
        bulk(search, index, {"delete": {"_id": key}})
    for key in extra:
        bulk(search, index, {"index": {"_id": key}}, {"id": int(key), "status": "a stranger"} if key.isdigit() else {"status": "a stranger"})
    return {"missing": set(missing), "extra": set(extra + left_over), "different": set(stale + altered + resurrected)}


@pytest.mark.every_server
def test_one_hundred_differences_of_every_kind_are_found_and_repaired(live_orders, database, search, verify):
    orders, agent = live_orders
    assert verify(orders.name)[0] == EQUAL
    planted = plant(orders, database, search, agent)
    status, found, said = verify(orders.name)
    assert (status, found) == (DIFFERENT, planted), said
    view = {(kind, key) for kind, key in database.sql("SELECT kind, key FROM conveyor.difference WHERE delivery = %s", orders.name)}
    assert view == {(kind, key) for kind, keys in planted.items() for key in keys}

    status, found, said = verify(orders.name, "--repair")
    assert (status, found) == (DIFFERENT, planted), said
    assert "600 of them repaired" in said
    assert assert_equal_both_ways(orders) == ORDERS - 100
    assert verify(orders.name)[0] == EQUAL
    # And the delivery goes on over what was put back.
    database.sql("UPDATE shop.orders SET status = 'and on' WHERE id <= 1000")
    orders.wait_delivered(agent)
    assert assert_equal_both_ways(orders) == ORDERS - 100


@pytest.mark.every_server
def test_beside_writers_only_what_was_planted_is_found(live_orders, database, search, verify):
    orders, agent = live_orders
    index = orders.index()
    with Load(database, clients=4, rate=200) as load:
        for _ in range(3):
            before = load.committed
            status, found, said = verify(orders.name)
            assert (status, found) == (EQUAL, {}), said
            until(lambda: load.committed > before + 50, "writes beside it")
        # Above all orders that the writers make and change.
        database.sql("INSERT INTO shop.orders (id, customer_id, status) SELECT 5000000 + n, NULL, 'quiet' FROM generate_series(1, 20) n")
        orders.wait_delivered(agent)
        bulk(search, index, {"delete": {"_id": "5000001"}}, {"update": {"_id": "5000002"}}, {"doc": {"status": "x"}}, {"index": {"_id": "6000000"}}, {"id": 6000000})
        planted = {"missing": {"5000001"}, "different": {"5000002"}, "extra": {"6000000"}}
        status, found, said = verify(orders.name, "--repair")
        assert (status, found) == (DIFFERENT, planted), said
        status, found, said = verify(orders.name)
        assert (status, found) == (EQUAL, {}), said
    orders.wait_delivered(agent)
    assert_equal_both_ways(orders)


@pytest.mark.parametrize("failpoint", ["verify_before_note", "verify_after_second_look", "verify_after_request"])
def test_a_run_that_is_killed_is_taken_up_by_the_next(live_orders, database, search, verify, failpoint):
    orders, agent = live_orders
    planted = plant(orders, database, search, agent, number=20)
    status, _, said = verify(orders.name, "--repair", "--connections", "1", failpoint=failpoint)
    assert status == -signal.SIGKILL, said
    first = database.record("SELECT * FROM conveyor.verification_status WHERE delivery = %s", orders.name)
    status, found, said = verify(orders.name, "--repair")
    assert (status, found) == (DIFFERENT, planted), said
    last = database.record("SELECT * FROM conveyor.verification_status WHERE delivery = %s", orders.name)
    # The same verification, in which each document was compared once.
    assert (last["id"], last["state"], last["documents"]) == (first["id"], "finished", ORDERS - 20)
    assert first["documents"] == (0 if failpoint == "verify_before_note" else ORDERS - 20)
    assert_equal_both_ways(orders)


def test_a_document_altered_many_times_in_an_idle_database_is_still_replaced(live_orders, search, verify):
    orders, _ = live_orders
    index = orders.index()
    for n in range(400):
        bulk(search, index, *[line for key in ("1", "2") for line in ({"update": {"_id": key}}, {"doc": {"status": f"altered {n}"}})])
    bulk(search, index, {"delete": {"_id": "2"}})
    status, found, said = verify(orders.name, "--repair")
    assert (status, found) == (DIFFERENT, {"different": {"1"}, "missing": {"2"}}), said
    assert "2 of them repaired" in said
    assert verify(orders.name)[0] == EQUAL


def test_a_version_that_no_document_can_replace_is_reported_with_a_way_out(live_orders, database, search, verify):
    orders, _ = live_orders
    index = orders.index()
    bulk(search, index, {"index": {"_id": "1", "version": 2**62, "version_type": "external"}}, {"id": 1, "status": "from the future"})
    status, found, said = verify(orders.name, "--repair")
    assert (status, found) == (DIFFERENT, {"different": {"1"}}), said
    assert "repaired" not in said
    detail = database.one("SELECT detail FROM conveyor.difference WHERE delivery = %s", orders.name)
    assert str(2**62) in detail and f"conveyor.rebuild('{orders.name}')" in detail


def test_documents_of_the_same_values_in_other_words_are_different(live_orders, search, verify):
    orders, _ = live_orders
    index = orders.index()
    status = stored(search, index, "8")["_source"]["status"]
    bulk(search, index, {"update": {"_id": "8"}}, {"doc": {"status": status}, "detect_noop": False})
    assert verify(orders.name)[:2] == (DIFFERENT, {"different": {"8"}})


def test_keys_that_the_index_orders_otherwise_are_compared_too(database, search, alias, make_target, start_agent, verify):
    make_target(search.url)
    database.sql(
        """CREATE TABLE shop.places (country text, code text, name text, PRIMARY KEY (country, code));
           INSERT INTO shop.places SELECT 'c' || n % 7, 'Ä "' || n, 'place ' || n FROM generate_series(1, 1500) n;
           CREATE VIEW shop.place_document AS SELECT country, code, name FROM shop.places"""
    )
    database.sql("SELECT conveyor.create_feed('places', 'shop.place_document')")
    database.sql("SELECT conveyor.add_watch('places', 'shop.places', '{country,code,name}', 'SELECT country, code FROM changed')")
    places = create_delivery(database, search, alias, "places", "places", view="shop.place_document", key=("country", "code"))
    agent = start_agent(database)
    places.wait_delivered(agent)
    index = places.index()
    assert verify("places")[0] == EQUAL
    key = lambda n: json.dumps([f"c{n % 7}", f'Ä "{n}'], ensure_ascii=False, separators=(",", ":"))  # noqa: E731
    bulk(search, index, {"delete": {"_id": key(1)}}, {"update": {"_id": key(2)}}, {"doc": {"name": "altered"}}, {"index": {"_id": "stranger"}}, {"name": "x"})
    planted = {"missing": {json.dumps(key(1), ensure_ascii=False)[1:-1]}, "different": {json.dumps(key(2), ensure_ascii=False)[1:-1]}, "extra": {"stranger"}}
    assert verify("places", "--repair")[:2] == (DIFFERENT, planted)
    assert verify("places")[:2] == (EQUAL, {})


def test_many_strangers_in_one_range_are_all_found(live_orders, search, verify):
    orders, _ = live_orders
    strangers = [str(10**9 + n) for n in range(12_000)]
    for at in range(0, len(strangers), 4000):
        bulk(search, orders.index(), *[line for key in strangers[at : at + 4000] for line in ({"index": {"_id": key}}, {"id": int(key)})])
    status, found, said = verify(orders.name, "--repair", "--show", "20000")
    assert (status, found) == (DIFFERENT, {"extra": set(strangers)}), said
    assert assert_equal_both_ways(orders) == ORDERS


def test_a_dead_letter_is_a_difference_that_explains_itself(live_orders, database, verify):
    orders, agent = live_orders
    database.sql("UPDATE shop.orders SET attributes = '\"no object\"' WHERE id = 3")
    orders.wait_delivered(agent)
    orders.wait_dead_letters("3")
    assert verify(orders.name)[:2] == (DIFFERENT, {"different": {"3"}})
    assert database.one("SELECT detail FROM conveyor.difference WHERE delivery = %s", orders.name).startswith("dead letter: ")


def test_what_is_on_its_way_is_not_called_a_difference(live_orders, database, verify):
    orders, agent = live_orders
    database.sql("SELECT conveyor.pause_delivery(%s)", orders.name)
    database.sql("UPDATE shop.orders SET status = 'waits' WHERE id = 4")
    status, found, said = verify(orders.name, "--wait", "1")
    assert (status, found) == (DIFFERENT, {}), said
    assert "has not acknowledged" in said and "paused" in said
    database.sql("SELECT conveyor.resume_delivery(%s)", orders.name)
    assert verify(orders.name)[:2] == (EQUAL, {})


def test_the_exit_status_tells_a_wrong_question_from_a_wrong_answer(live_orders, database, directory, alias, make_target, verify):
    orders, agent = live_orders
    assert verify(orders.name)[0] == EQUAL
    status, _, said = verify("nobody")
    assert status == USAGE and "does not exist" in said
    assert verify(orders.name, "--rate", "-1")[0] == USAGE
    make_target(None, "files", "ndjson", {"directory": str(directory)})
    create_delivery(database, None, alias, "to_files", target="files")
    status, _, said = verify("to_files")
    assert status == USAGE and "cannot verify" in said
    agent.kill()
    database.sql("""SELECT conveyor.alter_target('search', '{"url": "http://127.0.0.1:1"}')""")
    status, _, said = verify(orders.name, "--wait", "1")
    assert status == UNREACHABLE, said
    nobody = Verify(verify.binary, "host=127.0.0.1 port=1 dbname=x", verify.environment)
    assert nobody(orders.name)[0] == UNREACHABLE


def test_a_delivery_that_is_not_filled_yet_is_not_verified(orders, verify):
    status, _, said = verify(orders.name)
    assert status == DIFFERENT and "it is backfilling" in said, said


def test_the_rate_is_kept(live_orders, verify):
    orders, _ = live_orders
    began = time.monotonic()
    assert verify(orders.name, "--rate", "1000", "--connections", "1")[0] == EQUAL
    # The last range is not waited for.
    assert time.monotonic() - began > (ORDERS - 1500) / 1000
