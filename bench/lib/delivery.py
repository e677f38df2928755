"""Making deliveries and waiting for them, in SQL as a user would."""
import json
import time


def create(connection, delivery, feed, kind, target_options, destination, options=None):
    connection.run("SELECT conveyor.create_target(%s, %s, %s)", (delivery, kind, json.dumps(target_options)))
    connection.run("SELECT conveyor.create_delivery(%s, %s, %s, %s, %s)",
                   (delivery, feed, delivery, destination, json.dumps(options or {})))


def drop(connection, delivery):
    connection.run("SELECT conveyor.drop_delivery(%s)", (delivery,))
    connection.run("SELECT conveyor.drop_target(%s)", (delivery,))


def wait_backfilled(connection, delivery, agent, seconds=1800):
    """Returns (seconds from creation to the last checkpoint, seconds from the first claimed range to it), by the
    database's clock."""
    deadline = time.monotonic() + seconds
    while True:
        rows = connection.rows(
            "SELECT state, extract(epoch FROM finished_at - created_at)::float8, "
            "extract(epoch FROM finished_at - started_at)::float8, last_error "
            "FROM conveyor.request WHERE delivery = %s AND kind = 'backfill'", (delivery,))
        if rows and rows[0][0] == "finished":
            return rows[0][1], rows[0][2]
        if rows and rows[0][0] in ("failed", "cancelled"):
            raise RuntimeError(f"the backfill of {delivery} {rows[0][0]}: {rows[0][3]}")
        agent.check(deadline)
        time.sleep(0.1)


def wait_delivered(connection, delivery, seconds=300):
    """Everything committed before now has been acknowledged."""
    if not connection.value("SELECT conveyor.wait_delivered(%s, make_interval(secs => %s))", (delivery, seconds)):
        status = connection.rows("SELECT state, throttle, last_error FROM conveyor.delivery_status WHERE delivery = %s",
                                 (delivery,))
        raise RuntimeError(f"{delivery} is not delivered after {seconds} s: {status}")


def wait_acknowledged(connection, delivery, xid, agent, seconds=300):
    """Until the delivery's cursor contains this transaction: everything it changed has been acknowledged. Asks every 5 ms,
    which wait_delivered() does not promise to."""
    deadline = time.monotonic() + seconds
    while not connection.value("SELECT pg_visible_in_snapshot(%s::text::xid8, cursor) FROM conveyor.delivery_state "
                               "WHERE delivery = %s", (str(xid), delivery)):
        agent.check(deadline)
        time.sleep(0.005)
