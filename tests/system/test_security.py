"""A server with security: who may not, gets nothing, and the delivery says why. That the rights in docs/operations.md are enough, every test on such a server shows."""

import pytest

import shop
from conftest import SEARCH, SEARCH_PASSWORD
from equality import assert_equal_both_ways
from waiting import until

pytestmark = pytest.mark.every_server


def secrets_are_nowhere(database, agent, *secrets):
    told = agent.log_text() + str(database.sql("SELECT * FROM conveyor.delivery_status")) + str(database.sql("SELECT * FROM conveyor.journal"))
    return not any(secret in told for secret in secrets)


def test_a_wrong_password_holds_the_delivery_until_it_is_right(orders, database, start_agent):
    agent = start_agent(database, environment={"CONVEYOR_SHIPPER_PASSWORD": "wr0ng-secret"})
    orders.wait_state("waiting")
    assert "401" in orders.status()["throttle"], orders.status()
    assert secrets_are_nowhere(database, agent, "wr0ng-secret")
    agent.terminate()  # an agent reads its environment once
    second = start_agent(database)
    database.sql("SELECT conveyor.resume_delivery(%s)", orders.name)
    orders.wait_delivered(second)
    assert assert_equal_both_ways(orders) == shop.ORDERS
    assert secrets_are_nowhere(database, second, SEARCH_PASSWORD)


@pytest.fixture
def users(directory):
    """The server's file of users, put back at the end."""
    file = directory / SEARCH / "config" / "users"
    text = file.read_text()
    yield file
    file.write_text(text)


def test_a_user_who_is_taken_away_while_documents_are_sent_holds_the_delivery(live_orders, database, users):
    orders, agent = live_orders
    text = users.read_text()
    users.write_text("".join(line for line in text.splitlines(keepends=True) if not line.startswith("shipper:")))

    def held():
        database.sql("UPDATE shop.orders SET status = status || '.' WHERE id <= 300")
        return orders.state() == "waiting"

    until(held, lambda: f"the delivery is held: {orders.status()}", every=0.5)
    assert "401" in orders.status()["throttle"], orders.status()
    assert orders.dead_letters() == {}
    users.write_text(text)

    def goes_on():
        database.sql("SELECT conveyor.resume_delivery(%s)", orders.name)
        return database.one("SELECT conveyor.wait_delivered(%s, '1 s')", orders.name)

    until(goes_on, lambda: f"it goes on: {orders.status()}")
    assert assert_equal_both_ways(orders) == shop.ORDERS


def test_a_user_who_may_not_write_holds_the_delivery(database, search, alias, make_target, start_agent):
    make_target(search.url, options={"user": "reader"})
    shop.create_feed(database)
    orders = shop.create_delivery(database, search, alias)
    agent = start_agent(database)
    orders.wait_state("waiting")
    throttle = orders.status()["throttle"]
    assert "security_exception" in throttle and "reader" in throttle, throttle
    assert orders.dead_letters() == {}
    assert search.count(orders.index()) == 0
    database.sql("SELECT conveyor.alter_target('search', '{\"user\": \"shipper\"}')")
    database.sql("SELECT conveyor.resume_delivery(%s)", orders.name)
    orders.wait_delivered(agent)
    assert assert_equal_both_ways(orders) == shop.ORDERS
