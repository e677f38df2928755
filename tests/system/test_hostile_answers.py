"""A target that answers wrongly, half, or not at all holds only its own deliveries, and says so; afterwards nothing is missing."""

import base64

import pytest

import http_proxy
from equality import assert_equal_both_ways
from shop import ORDERS, create_delivery, create_feed

MEND_AFTER = {
    "refused": http_proxy.refuse,
    "html": http_proxy.html,
    "bad gateway": http_proxy.bad_gateway,
    "redirect": http_proxy.redirect,
    "half an answer": http_proxy.half_answer,
    "answer lost": http_proxy.swallow_answer,
}


@pytest.fixture
def proxied(database, search, alias, make_target, search_proxy):
    """The shop's delivery through a proxy: (delivery, proxy). Timeouts are short where a test needs them."""
    proxy = search_proxy()
    make_target(proxy.url)
    create_feed(database)
    return create_delivery(database, search, alias), proxy


def says_why(status):
    """What an agent says of the trouble; nothing before one has taken the delivery."""
    return (status["throttle"] or "") + (status["last_error"] or "") if status["agent"] else ""


@pytest.mark.parametrize("misbehaviour", MEND_AFTER)
def test_whatever_a_bulk_request_gets_for_an_answer_nothing_is_lost(proxied, database, start_agent, misbehaviour):
    orders, proxy = proxied
    agent = start_agent(database)
    orders.wait_delivered(agent)
    proxy.become(http_proxy.only_bulk(MEND_AFTER[misbehaviour]))
    database.sql("UPDATE shop.orders SET status = 'changed' WHERE id <= 300; DELETE FROM shop.orders WHERE id > 1900")
    seen = proxy.requests
    status = orders.wait_status(lambda status: proxy.requests > seen + 1 and says_why(status), "says what is wrong")
    assert status["pending"] > 0, status
    assert database.one("SELECT conveyor.wait_delivered(%s, '200 ms')", orders.name) is False
    assert orders.dead_letters() == {}
    proxy.become(http_proxy.forward)
    if orders.state() == "waiting":
        database.sql("SELECT conveyor.resume_delivery(%s)", orders.name)
    orders.wait_delivered(agent)
    assert orders.dead_letters() == {}
    assert assert_equal_both_ways(orders) == ORDERS - 100
    orders.wait_status(lambda status: not status["throttle"], "is no longer throttled")


@pytest.mark.parametrize("misbehaviour", MEND_AFTER)
def test_a_target_that_is_wrong_from_the_start_is_filled_once_it_is_right(proxied, database, start_agent, misbehaviour):
    orders, proxy = proxied
    proxy.become(MEND_AFTER[misbehaviour])
    agent = start_agent(database)
    orders.wait_status(says_why, "says what is wrong")
    agent.assert_alive()
    proxy.become(http_proxy.forward)
    if orders.state() == "waiting":
        database.sql("SELECT conveyor.resume_delivery(%s)", orders.name)
    orders.wait_delivered(agent)
    assert assert_equal_both_ways(orders) == ORDERS


def test_a_target_that_falls_silent_is_given_up_on_and_tried_again(proxied, database, start_agent):
    orders, proxy = proxied
    database.sql("SELECT conveyor.alter_target('search', '{\"timeout\": \"1 s\"}')")
    agent = start_agent(database)
    orders.wait_delivered(agent)
    proxy.become(http_proxy.silence)
    database.sql("UPDATE shop.orders SET status = 'changed' WHERE id <= 300")
    orders.wait_status(says_why, "says what is wrong")
    proxy.become(http_proxy.forward)
    orders.wait_delivered(agent)
    assert_equal_both_ways(orders)


@pytest.mark.parametrize("status, type", [(401, "security_exception"), (403, "security_exception")])
def test_a_wrong_password_holds_the_delivery_until_someone_resumes_it(proxied, database, start_agent, status, type):
    orders, proxy = proxied
    refusal = http_proxy.answer(status, f'{{"error":{{"type":"{type}","reason":"unable to authenticate user"}},"status":{status}}}')

    def check_password(proxy, client, request):
        expected = "Basic " + base64.b64encode(b"shipper:right").decode()
        if request.headers.get("authorization") == expected:
            http_proxy.forward(proxy, client, request)
        else:
            client.sendall(refusal)

    proxy.become(check_password)
    database.sql("SELECT conveyor.alter_target('search', '{\"user\": \"shipper\"}')")
    agent = start_agent(database, environment={"CONVEYOR_SEARCH_PASSWORD": "wr0ng-secret"})
    orders.wait_state("waiting")
    assert str(status) in says_why(orders.status())
    assert "wr0ng-secret" not in agent.log_text() + str(orders.status()) + str(database.sql("SELECT * FROM conveyor.journal"))
    agent.terminate()
    second = start_agent(database, environment={"CONVEYOR_SEARCH_PASSWORD": "right"})
    database.sql("SELECT conveyor.resume_delivery(%s)", orders.name)
    orders.wait_delivered(second)
    assert assert_equal_both_ways(orders) == ORDERS


def test_a_server_whose_certificate_does_not_verify_gets_no_document(database, search, alias, make_target, search_proxy, certificate, start_agent):
    proxy = search_proxy(tls=certificate)
    make_target(proxy.url)
    create_feed(database)
    orders = create_delivery(database, search, alias)
    agent = start_agent(database)
    status = orders.wait_status(says_why, "says what is wrong")
    assert "certificate" in says_why(status).lower() or "ssl" in says_why(status).lower(), status
    agent.assert_alive()
    assert proxy.requests == 0
    assert search.indices(database.name) == []

    # Told which authority to trust, it goes through.
    database.sql("SELECT conveyor.alter_target('search', jsonb_build_object('url', %s, 'ca_file', %s))", proxy.url.replace("127.0.0.1", "localhost"), certificate[0])
    if orders.state() == "waiting":
        database.sql("SELECT conveyor.resume_delivery(%s)", orders.name)
    orders.wait_delivered(agent)
    assert assert_equal_both_ways(orders) == ORDERS


def test_https_to_a_server_that_speaks_plain_http_says_so(database, search, alias, make_target, start_agent):
    make_target(search.url.replace("http:", "https:"))
    create_feed(database)
    orders = create_delivery(database, search, alias)
    agent = start_agent(database)
    status = orders.wait_status(says_why, "says what is wrong")
    assert "ssl" in says_why(status).lower() or "tls" in says_why(status).lower(), status
    agent.assert_alive()


def test_of_two_addresses_of_a_cluster_either_may_be_down(database, search, alias, make_target, search_proxy, start_agent):
    one, other = search_proxy(), search_proxy()
    make_target([one.url, other.url])
    create_feed(database)
    orders = create_delivery(database, search, alias)
    one.become(http_proxy.refuse)
    agent = start_agent(database)
    orders.wait_delivered(agent)
    assert other.requests > 0
    one.become(http_proxy.forward)
    other.become(http_proxy.refuse)
    seen = one.requests
    database.sql("UPDATE shop.orders SET status = 'by the first one'")
    orders.wait_delivered(agent)
    assert one.requests > seen
    assert assert_equal_both_ways(orders) == ORDERS


def test_an_overloaded_target_is_slowed_down_for_and_everything_arrives(proxied, database, start_agent):
    orders, proxy = proxied
    refusal = '{"error":{"type":"rejected_execution_exception","reason":"rejected execution of coordinating operation"},"status":429}'
    counter = iter(range(10**9))

    def two_of_three_refused(proxy, client, request):
        if request.bulk and next(counter) % 3:
            client.sendall(http_proxy.answer(429, refusal))
        else:
            http_proxy.forward(proxy, client, request)

    proxy.become(two_of_three_refused)
    agent = start_agent(database)
    orders.wait_delivered(agent, timeout=60)
    assert orders.dead_letters() == {}
    assert assert_equal_both_ways(orders) == ORDERS


def test_a_request_that_is_too_large_is_sent_in_smaller_ones(proxied, database, start_agent):
    orders, proxy = proxied

    def limited(proxy, client, request):
        if request.bulk and len(request.body) > 20000:
            client.sendall(http_proxy.answer(413, b""))
        else:
            http_proxy.forward(proxy, client, request)

    proxy.become(limited)
    agent = start_agent(database)
    orders.wait_delivered(agent, timeout=60)
    assert orders.dead_letters() == {}
    assert assert_equal_both_ways(orders) == ORDERS


def test_a_read_only_index_holds_the_delivery(live_orders, database, search):
    orders, agent = live_orders
    search.put_settings(orders.index(), {"index.blocks.write": True})
    database.sql("UPDATE shop.orders SET status = 'changed' WHERE id <= 30")
    status = orders.wait_status(lambda status: status["state"] == "waiting", "is held")
    assert "block" in says_why(status), status
    assert orders.dead_letters() == {}
    search.put_settings(orders.index(), {"index.blocks.write": None})
    database.sql("SELECT conveyor.resume_delivery(%s)", orders.name)
    orders.wait_delivered(agent)
    assert_equal_both_ways(orders)


def test_of_two_targets_the_dead_one_does_not_hold_back_the_other(database, search, alias, make_target, search_proxy, start_agent):
    proxy = search_proxy()
    make_target(proxy.url, target="shaky")
    make_target(search.url, target="steady")
    create_feed(database)
    shaky = create_delivery(database, search, f"{alias}-shaky", name="to_shaky", target="shaky")
    steady = create_delivery(database, search, f"{alias}-steady", name="to_steady", target="steady")
    agent = start_agent(database)
    shaky.wait_delivered(agent)
    steady.wait_delivered(agent)
    proxy.become(http_proxy.refuse)
    for round in range(5):
        database.sql("UPDATE shop.orders SET status = %s WHERE id <= 500", f"round {round}")
        steady.wait_delivered(agent, timeout=10)
    shaky.wait_status(says_why, "says what is wrong")
    assert shaky.status()["pending"] > 0
    assert_equal_both_ways(steady)
    proxy.become(http_proxy.forward)
    shaky.wait_delivered(agent)
    assert_equal_both_ways(shaky)

