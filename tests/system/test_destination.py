"""The destination is an alias over an index that the delivery made; what is somebody else's stays untouched."""

import pytest

from equality import assert_equal_both_ways
from shop import ORDERS


def test_an_index_of_that_name_that_is_not_ours_holds_the_delivery_and_stays_untouched(orders, database, search, start_agent):
    search.call("PUT", f"/{orders.alias}/_doc/1?refresh=true", {"mine": True})
    agent = start_agent(database)
    orders.wait_state("waiting")
    assert orders.alias in orders.status()["throttle"], orders.status()
    agent.assert_alive()
    assert search.documents(orders.alias) == {"1": {"mine": True}}

    search.call("DELETE", f"/{orders.alias}")
    database.sql("SELECT conveyor.resume_delivery(%s)", orders.name)
    orders.wait_delivered(agent)
    assert assert_equal_both_ways(orders) == ORDERS


def test_an_alias_of_that_name_that_is_not_ours_holds_the_delivery_and_stays_untouched(orders, database, search, start_agent):
    theirs = f"{database.name}-theirs"
    search.call("PUT", f"/{theirs}/_doc/1?refresh=true", {"mine": True})
    search.call("POST", "/_aliases", {"actions": [{"add": {"index": theirs, "alias": orders.alias}}]})
    start_agent(database)
    orders.wait_state("waiting")
    assert search.alias_indices(orders.alias) == [theirs]
    assert search.documents(theirs) == {"1": {"mine": True}}
    assert search.indices(database.name) == [theirs]


def test_mappings_come_from_the_views_column_types(live_orders, search):
    orders, _ = live_orders
    properties = search.mapping(orders.index())["properties"]
    assert properties["id"]["type"] == "long"
    assert properties["placed_at"]["type"] == "date"
    assert properties["status"]["type"] == "text"
    assert any(field["type"] == "keyword" for field in properties["status"]["fields"].values())
    assert properties["customer"].get("type", "object") == "object"


@pytest.mark.parametrize("what", ["index", "alias"])
def test_an_index_that_vanishes_holds_the_delivery_and_nothing_is_made_by_the_way(live_orders, database, search, what):
    orders, agent = live_orders
    index = orders.index()
    if what == "index":
        search.call("DELETE", f"/{index}")
    else:
        search.call("POST", "/_aliases", {"actions": [{"remove": {"index": index, "alias": orders.alias}}]})
    database.sql("UPDATE shop.orders SET status = 'x' WHERE id < 10; DELETE FROM shop.orders WHERE id = 10")
    if what == "index":
        orders.wait_state("waiting")
        assert search.indices(database.name) == [], "a request made an index of its own"
    else:
        orders.wait_status(lambda status: status["state"] == "waiting" or status["throttle"] or status["pending"] == 0, "held, or delivered to the index")
        assert search.indices(database.name) == [index]


def test_dropping_a_delivery_removes_its_index_only_when_asked(live_orders, database, search):
    orders, agent = live_orders
    index = orders.index()
    database.sql("SELECT conveyor.drop_delivery(%s)", orders.name)
    assert orders.status() is None
    assert search.count(index) == ORDERS
    agent.assert_alive()
