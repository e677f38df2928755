"""A rebuild fills another index beside the one that readers have, and leads the alias to it; there is a way back, which loses nothing."""

import json

import pytest

import shop
from agent import failpoints
from equality import assert_equal_both_ways, differences, view_documents
from http_proxy import forward, silence
from load import Load, move_item, new_order, new_status, rename_customer
from reader import Reader
from shop import ORDERS
from waiting import until

KEYWORD = {"index": {"mappings": {"properties": {"status": {"type": "keyword"}}}, "settings": {"number_of_shards": 2, "refresh_interval": "200ms"}}}
# Refuses whatever is no number.
NUMBER = {"index": {"mappings": {"properties": {"status": {"type": "integer"}}}}}


def delete_new_order(cursor):
    cursor.execute("DELETE FROM shop.orders WHERE id = (SELECT max(id) FROM shop.orders WHERE id > 100000)")


# The reader's documents stay.
LASTING = [new_order] * 3 + [new_status] * 4 + [move_item, rename_customer, delete_new_order]


def alter(orders, options):
    orders.database.sql("SELECT conveyor.alter_delivery(%s, %s::jsonb)", orders.name, json.dumps(options))


def rebuild(orders, options=KEYWORD):
    alter(orders, options)
    return orders.database.one("SELECT conveyor.rebuild(%s)", orders.name)


def roll_back(orders):
    orders.database.sql("SELECT conveyor.rollback_rebuild(%s)", orders.name)


def assert_index_equals_view(orders, index):
    missing, extra, different = differences(view_documents(orders), orders.search.documents(index))
    assert not (missing or extra or different), f"{index}: missing {missing[:5]}, too many {extra[:5]}, different {different[:5]}"


@pytest.mark.every_server
def test_readers_and_writers_notice_nothing_of_a_rebuild_and_its_rollback(live_orders, database, search):
    orders, agent = live_orders
    old = orders.index()
    with Reader(search, orders.alias, ORDERS) as reader, Load(database, rate=100, mix=LASTING):
        rebuild(orders)
        orders.wait_rebuild("kept", agent)
        until(lambda: len(reader.indices) == 2, "the reader meets the new index")
        new = orders.index()
        assert new != old
        roll_back(orders)
        orders.wait_rebuild("rolled_back", agent)
        until(lambda: len(reader.indices) == 3, "the reader is back")
    assert reader.indices == [old, new, old]
    orders.wait_delivered(agent)
    assert assert_equal_both_ways(orders) > ORDERS


@pytest.mark.every_server
def test_the_new_index_has_the_new_mapping_and_settings_and_both_get_every_change(live_orders, database, search):
    orders, agent = live_orders
    old = orders.index()
    rebuild(orders)
    status = orders.wait_rebuild("kept", agent)
    assert (status["old_index"], status["new_index"]) == (old, orders.index())
    assert search.mapping(status["new_index"])["properties"]["status"] == {"type": "keyword"}
    settings = search.settings(status["new_index"])
    assert (settings["index.number_of_shards"], settings["index.refresh_interval"]) == ("2", "200ms"), "as wished, not as it was filled"
    assert "index.number_of_replicas" not in settings or settings["index.number_of_replicas"] != "0"
    assert orders.status()["rebuild"] == "kept"

    database.sql("INSERT INTO shop.orders (id, status) VALUES (90000, 'after the switch'); DELETE FROM shop.orders WHERE id = 1")
    database.sql("UPDATE shop.customers SET name = 'after the switch' WHERE id = 5")
    orders.wait_delivered(agent)
    assert_equal_both_ways(orders)
    until(lambda: search.get(old, "90000") and not search.get(old, "1"), "the old index follows")
    until(lambda: database.one("SELECT (conveyor.pending(%s)).changes", f"{orders.name} (rebuild)") == 0, "all of it")
    assert_index_equals_view(orders, old)


def test_a_rollback_loses_nothing_that_happened_since_the_switch(live_orders, database, search):
    orders, agent = live_orders
    old = orders.index()
    rebuild(orders)
    orders.wait_rebuild("kept", agent)
    with Load(database, rate=200) as load:
        until(lambda: load.committed > 100, "writes")
        roll_back(orders)
        orders.wait_rebuild("rolled_back", agent)
    orders.wait_delivered(agent)
    assert orders.index() == old
    assert_equal_both_ways(orders)

    # What was given up goes, and takes no alias along.
    alter(orders, {"rebuild_keep": "0 s"})
    until(lambda: search.indices(database.name) == [old], lambda: f"one index is left: {search.indices(database.name)}")
    assert orders.rebuild_status()["state"] == "dropped"
    database.sql("UPDATE shop.orders SET status = 'still here' WHERE id = 2")
    orders.wait_delivered(agent)
    assert_equal_both_ways(orders)


@pytest.mark.every_server
def test_the_old_index_is_dropped_when_it_has_been_kept_long_enough(live_orders, database, search):
    orders, agent = live_orders
    old = orders.index()
    with Reader(search, orders.alias, ORDERS):
        rebuild(orders)
        orders.wait_rebuild("kept", agent)
        assert old in search.indices(database.name)
        alter(orders, {"rebuild_keep": "0 s"})
        orders.wait_rebuild("dropped", agent)
        until(lambda: old not in search.indices(database.name), "the old index goes")
    assert orders.status()["rebuild"] is None
    assert database.one("SELECT count(*) FROM conveyor.delivery_definition WHERE rebuild_of IS NOT NULL") == 0

    # And again from there.
    rebuild(orders, {"index": {}})
    orders.wait_rebuild("kept", agent)
    assert orders.index().endswith("-000003")
    orders.wait_delivered(agent)
    assert assert_equal_both_ways(orders) == ORDERS


POINTS = [point for point in failpoints() if point.startswith("rebuild_")]
POINTS += ["before_finish_fill", "before_range_finish", "after_range_finish", "before_sweep_finish"]


@pytest.mark.parametrize("point", POINTS)
def test_an_agent_killed_at_any_point_of_a_rebuild_leaves_the_alias_with_one_complete_index(live_orders, database, search, start_agent, point):
    orders, agent = live_orders
    agent.terminate()
    with Reader(search, orders.alias, ORDERS) as reader, Load(database, rate=50, mix=LASTING):
        rebuild(orders)
        doomed = start_agent(database, failpoint=point)
        until(lambda: not doomed.alive(), lambda: f"the agent dies: {orders.rebuild_status()}\n{doomed.log_tail()}", 30)
        searches = reader.searches
        until(lambda: reader.searches > searches + 3, "the reader goes on")
        agent = start_agent(database)
        status = orders.wait_rebuild("kept", agent)
        until(lambda: reader.indices == [status["old_index"], status["new_index"]], lambda: f"the reader meets each index once: {reader.indices}")
    orders.wait_delivered(agent)
    assert_equal_both_ways(orders)


@pytest.mark.parametrize("point", ["rebuild_after_next", "rebuild_before_turn", "rebuild_after_turn", "rebuild_after_turned"])
def test_an_agent_killed_at_any_point_of_a_rollback_leaves_the_alias_with_one_complete_index(live_orders, database, search, start_agent, point):
    orders, agent = live_orders
    rebuild(orders)
    status = orders.wait_rebuild("kept", agent)
    agent.terminate()
    with Reader(search, orders.alias, ORDERS) as reader, Load(database, rate=50, mix=LASTING):
        roll_back(orders)
        doomed = start_agent(database, failpoint=point)
        until(lambda: not doomed.alive(), lambda: f"the agent dies: {orders.rebuild_status()}\n{doomed.log_tail()}", 30)
        agent = start_agent(database)
        orders.wait_rebuild("rolled_back", agent)
        until(lambda: reader.indices == [status["new_index"], status["old_index"]], lambda: f"the reader meets each index once: {reader.indices}")
    orders.wait_delivered(agent)
    assert_equal_both_ways(orders)


def killed_in_the_state(orders, database, start_agent, point, state):
    """Agents that die at this point, one after another, until the rebuild is in this state."""

    def reached():
        doomed = start_agent(database, failpoint=point)
        until(lambda: not doomed.alive(), lambda: f"the agent dies: {orders.rebuild_status()}", 30)
        return orders.rebuild_status()["state"] == state

    until(reached, lambda: f"the rebuild is {state}: {orders.rebuild_status()}", 60)


def test_a_rollback_after_the_alias_was_switched_and_before_that_was_recorded_leads_it_back(live_orders, database, search, start_agent):
    orders, agent = live_orders
    old = orders.index()
    agent.terminate()
    with Reader(search, orders.alias, ORDERS) as reader:
        rebuild(orders)
        killed_in_the_state(orders, database, start_agent, "rebuild_after_turn", "switching")
        assert orders.index() != old, "the alias has been switched"
        roll_back(orders)
        agent = start_agent(database)
        orders.wait_rebuild("rolled_back", agent)
        until(lambda: reader.indices[-1] == old, "the reader is back")
    orders.wait_delivered(agent)
    assert assert_equal_both_ways(orders) == ORDERS


def test_while_the_alias_is_switched_nothing_is_called_delivered_that_only_one_index_has(live_orders, database, start_agent):
    orders, agent = live_orders
    agent.terminate()
    rebuild(orders)
    killed_in_the_state(orders, database, start_agent, "rebuild_after_turn", "switching")
    # The new index, which readers have by now, is ahead of the old one or behind it: both must have the change.
    database.sql("UPDATE shop.orders SET status = 'in between' WHERE id = 3")
    database.sql("UPDATE conveyor.delivery_state SET cursor = conveyor.latest_snapshot() WHERE delivery = %s", orders.name)
    assert database.one("SELECT conveyor.wait_delivered(%s, '0 s')", orders.name) is False
    orders.wait_delivered(start_agent(database))
    assert orders.search.get(orders.alias, "3")["status"] == "in between"


def test_the_alias_waits_for_an_index_that_is_behind_what_was_called_delivered(live_orders, database, start_agent):
    orders, agent = live_orders
    agent.terminate()
    rebuild(orders)
    killed_in_the_state(orders, database, start_agent, "rebuild_before_turn", "switching")
    beside = f"{orders.name} (rebuild)"
    database.sql("UPDATE shop.orders SET status = 'in the old index' WHERE id = 3")
    database.sql("UPDATE conveyor.index_rebuild SET upto = conveyor.latest_snapshot()")

    # In an agent's place.
    database.sql("SELECT conveyor.agent_start('by hand', 'h', 1, '0', 1, '{}')")

    def lease():
        database.sql("SELECT conveyor.agent_sync('by hand', '{}')")
        return database.one("SELECT lease FROM conveyor.delivery_state WHERE delivery = %s AND agent = 'by hand'", beside)

    number = until(lease, "the lease of the one that died")
    assert database.one("SELECT conveyor.rebuild_next(%s, %s)", beside, number) is None
    database.sql("UPDATE conveyor.delivery_state SET cursor = conveyor.latest_snapshot() WHERE delivery = %s", beside)
    assert database.one("SELECT conveyor.rebuild_next(%s, %s)", beside, number) is not None


def test_what_is_lost_from_the_new_index_before_the_switch_is_found_by_comparing_keys(live_orders, database, search, start_agent):
    orders, agent = live_orders
    agent.terminate()
    rebuild(orders)
    killed_in_the_state(orders, database, start_agent, "rebuild_after_next", "verifying")
    new = orders.rebuild_status()["new_index"]
    for key in ("7", "8", "1999"):
        search.call("DELETE", f"/{new}/_doc/{key}")
    search.call("PUT", f"/{new}/_doc/stranger?refresh=true", {"status": "nobody's document"})
    agent = start_agent(database)
    orders.wait_rebuild("kept", agent)
    assert assert_equal_both_ways(orders) == ORDERS


def test_documents_that_only_the_new_mapping_refuses_hold_the_rebuild_and_nothing_else(live_orders, database, search):
    orders, agent = live_orders
    old = orders.index()
    database.sql("UPDATE shop.orders SET status = CASE WHEN id <= 3 THEN 'no number' ELSE '1' END")
    rebuild(orders, NUMBER)
    status = orders.wait_rebuild("held", agent)
    assert status["documents_refused"] == 3 and "accept_missing" in status["throttle"], status
    assert orders.index() == old
    assert orders.dead_letters() == {} and orders.state() == "live"
    orders.wait_delivered(agent)
    assert assert_equal_both_ways(orders) == ORDERS

    # Mended.
    database.sql("UPDATE shop.orders SET status = '2' WHERE id <= 3")
    until(lambda: orders.rebuild_status()["documents_refused"] == 0, lambda: f"the dead letters go: {orders.rebuild_status()}")
    database.sql("SELECT conveyor.resume_rebuild(%s)", orders.name)
    orders.wait_rebuild("kept", agent)
    assert orders.index() != old
    orders.wait_delivered(agent)
    assert assert_equal_both_ways(orders) == ORDERS


def test_a_rebuild_may_go_on_without_documents_that_are_given_up_and_back_with_them(live_orders, database, search):
    orders, agent = live_orders
    old = orders.index()
    database.sql("UPDATE shop.orders SET status = CASE WHEN id <= 3 THEN 'no number' ELSE '1' END")
    rebuild(orders, NUMBER)
    orders.wait_rebuild("held", agent)
    database.sql("SELECT conveyor.resume_rebuild(%s, accept_missing => true)", orders.name)
    orders.wait_rebuild("kept", agent)
    assert set(orders.dead_letters()) == {"1", "2", "3"}
    assert_equal_both_ways(orders, dead=("1", "2", "3"))
    roll_back(orders)
    orders.wait_rebuild("rolled_back", agent)
    assert orders.index() == old and orders.dead_letters() == {}
    orders.wait_delivered(agent)
    assert assert_equal_both_ways(orders) == ORDERS


def test_a_mapping_that_refuses_everything_stops_the_new_index_alone(live_orders, database, search):
    orders, agent = live_orders
    old = orders.index()
    alter(orders, {"dead_letter_limit": 100})
    rebuild(orders, NUMBER)
    until(lambda: "dead_letter_limit" in (orders.status()["rebuild"] or ""), lambda: f"it says so: {orders.status()}")
    database.sql("UPDATE shop.orders SET status = 'goes on' WHERE id = 4")
    orders.wait_delivered(agent)
    assert orders.state() == "live" and assert_equal_both_ways(orders) == ORDERS

    roll_back(orders)
    assert orders.rebuild_status()["state"] == "cancelled"
    until(lambda: search.indices(database.name) == [old], lambda: f"the new index goes: {search.indices(database.name)}")
    rebuild(orders)
    orders.wait_rebuild("kept", agent)
    assert assert_equal_both_ways(orders) == ORDERS


def test_settings_that_the_server_refuses_are_told_and_can_be_mended(live_orders, database):
    orders, agent = live_orders
    rebuild(orders, {"index": {"settings": {"number_of_shards": 0}}})
    until(lambda: "number_of_shards" in (orders.status()["rebuild"] or ""), lambda: f"it says so: {orders.status()}")
    assert orders.state() == "live"
    alter(orders, KEYWORD)
    database.sql("SELECT conveyor.resume_rebuild(%s)", orders.name)
    orders.wait_rebuild("kept", agent)
    assert assert_equal_both_ways(orders) == ORDERS


def test_two_agents_share_the_two_indices_and_one_of_them_may_die(live_orders, database, search, start_agent):
    orders, agent = live_orders
    other = start_agent(database, name="other")
    with Reader(search, orders.alias, ORDERS), Load(database, rate=100, mix=LASTING):
        rebuild(orders)
        until(lambda: database.one("SELECT count(DISTINCT agent) FROM conveyor.delivery_state WHERE agent IS NOT NULL") == 2, "each has one of them")
        other.kill()
        orders.wait_rebuild("kept", agent)
    orders.wait_delivered(agent)
    assert_equal_both_ways(orders)


def test_a_switch_whose_answer_is_lost_is_done_once(database, search, search_proxy, alias, make_target, start_agent):
    proxy = search_proxy()
    make_target(proxy.url)
    shop.create_feed(database)
    orders = shop.create_delivery(database, search, alias)
    agent = start_agent(database)
    orders.wait_delivered(agent)
    old = orders.index()
    lost = []

    def lose_the_first(proxy, client, request):
        if request.path.startswith("/_aliases") and not lost:
            lost.append(request)
            proxy.exchange(request)
            raise ConnectionResetError
        forward(proxy, client, request)

    proxy.become(lose_the_first)
    with Reader(search, alias, ORDERS) as reader:
        rebuild(orders)
        orders.wait_rebuild("kept", agent)
    assert lost and reader.indices == [old, orders.index()]

    # And a cluster that cannot be reached for a while.
    proxy.become(silence)
    roll_back(orders)
    database.sql("UPDATE shop.orders SET status = 'meanwhile' WHERE id = 5")
    assert orders.rebuild_status()["state"] == "rolling_back"
    proxy.become(forward)
    orders.wait_rebuild("rolled_back", agent)
    assert orders.index() == old
    orders.wait_delivered(agent)
    assert assert_equal_both_ways(orders) == ORDERS


def test_a_request_to_switch_that_arrives_after_the_rollback_takes_no_document_away(database, search, search_proxy, alias, make_target, start_agent):
    proxy = search_proxy()
    make_target(proxy.url)
    shop.create_feed(database)
    orders = shop.create_delivery(database, search, alias)
    agent = start_agent(database)
    orders.wait_delivered(agent)
    old = orders.index()
    seen = []

    def note(proxy, client, request):
        if request.path.startswith("/_aliases"):
            seen.append(request)
        forward(proxy, client, request)

    proxy.become(note)
    with Reader(search, alias, ORDERS) as reader:
        rebuild(orders)
        orders.wait_rebuild("kept", agent)
        roll_back(orders)
        orders.wait_rebuild("rolled_back", agent)
        proxy.exchange(seen[0])
        until(lambda: len(reader.indices) >= 4, "the reader meets the new index once more")
        database.sql("UPDATE shop.orders SET status = 'in both' WHERE id = 6")
        until(lambda: search.get(alias, "6")["status"] == "in both", "which gets every change")
    alter(orders, {"rebuild_keep": "0 s"})
    orders.wait_rebuild("dropped", agent)
    until(lambda: search.indices(database.name) == [old], lambda: f"the new index goes: {search.indices(database.name)}")
    assert search.alias_indices(alias) == [old], "the alias leads to the index that is left"
    orders.wait_delivered(agent)
    assert assert_equal_both_ways(orders) == ORDERS


@pytest.mark.every_server
def test_aliases_of_others_go_along_and_come_back(live_orders, database, search):
    orders, agent = live_orders
    old = orders.index()
    filtered = f"{database.name}-expensive"
    search.call("POST", "/_aliases", {"actions": [{"add": {"index": old, "alias": filtered, "filter": {"range": {"id": {"gt": 1500}}}}}]})
    rebuild(orders)
    orders.wait_rebuild("kept", agent)
    assert search.alias_indices(filtered) == [orders.index()] != [old]
    assert search.count(filtered) == ORDERS - 1500
    roll_back(orders)
    orders.wait_rebuild("rolled_back", agent)
    assert search.alias_indices(filtered) == [old]


def test_a_paused_delivery_is_not_switched(live_orders, database):
    orders, agent = live_orders
    database.sql("SELECT conveyor.pause_delivery(%s)", orders.name)
    rebuild(orders)
    assert orders.status()["rebuild"] == "asked"
    database.sql("SELECT conveyor.resume_delivery(%s)", orders.name)
    orders.wait_rebuild("kept", agent)
    assert assert_equal_both_ways(orders) == ORDERS


def test_a_delivery_dropped_in_a_rebuild_leaves_its_index_and_takes_the_other_along(live_orders, database, search):
    orders, agent = live_orders
    old = orders.index()
    rebuild(orders)
    orders.wait_rebuild("kept", agent)
    new = orders.index()
    database.sql("SELECT conveyor.drop_delivery(%s)", orders.name)
    until(lambda: search.indices(database.name) == [new], lambda: f"the index that was kept goes: {search.indices(database.name)}")
    assert search.alias_indices(orders.alias) == [new] and new != old
    agent.assert_alive()


def test_a_truncate_in_a_rebuild_reaches_both_indices(live_orders, database, search, start_agent):
    orders, agent = live_orders
    agent.terminate()
    rebuild(orders)
    killed_in_the_state(orders, database, start_agent, "rebuild_after_next", "verifying")
    database.sql("TRUNCATE shop.items; DELETE FROM shop.orders WHERE id <= 10")
    agent = start_agent(database)
    orders.wait_rebuild("kept", agent)
    orders.wait_delivered(agent)
    assert assert_equal_both_ways(orders) == ORDERS - 10
    roll_back(orders)
    orders.wait_rebuild("rolled_back", agent)
    orders.wait_delivered(agent)
    assert assert_equal_both_ways(orders) == ORDERS - 10


def test_a_rebuild_may_begin_before_the_first_fill_is_over(orders, database, start_agent):
    database.sql("INSERT INTO shop.orders (customer_id) SELECT 1 + n % 100 FROM generate_series(1, 20000) n")
    alter(orders, {"rate": 3000})
    agent = start_agent(database)
    until(lambda: database.one("SELECT index IS NOT NULL FROM conveyor.delivery_state"), "the first index is made")
    rebuild(orders, {**KEYWORD, "rate": 0})
    orders.wait_rebuild("kept", agent)
    orders.wait_delivered(agent)
    assert assert_equal_both_ways(orders) == ORDERS + 20000
