"""A delivery as a test sees it."""

from waiting import TooLate, until


class Delivery:
    """Its names on both sides, and how to wait for it."""

    def __init__(self, database, search, name, feed, view, key, alias):
        self.database = database
        self.search = search
        self.name = name
        self.feed = feed
        self.view = view
        self.key = key
        self.alias = alias

    def status(self):
        return self.database.record("SELECT * FROM conveyor.delivery_status WHERE delivery = %s", self.name)

    def state(self):
        return self.status()["state"]

    def rebuild_status(self):
        """Its latest rebuild."""
        return self.database.record("SELECT * FROM conveyor.rebuild_status WHERE delivery = %s ORDER BY id DESC LIMIT 1", self.name)

    def wait_rebuild(self, state, agent=None, timeout=60):
        """Waits until the latest rebuild is in this state, and returns its row."""

        def entered():
            if agent is not None:
                agent.assert_alive()
            row = self.rebuild_status()
            return row if row["state"] == state else None

        return until(entered, lambda: f"the rebuild is {state}: {self.rebuild_status()}, {self.status()}", timeout)

    def dead_letters(self):
        rows = self.database.sql("SELECT key, type, reason FROM conveyor.dead_letter WHERE delivery = %s", self.name)
        return {key: (type, reason) for key, type, reason in rows}

    def wait_state(self, *states, timeout=20):
        return until(lambda: self.state() in states and self.state(), lambda: f"{self.name} is {' or '.join(states)}: {self.status()}", timeout)

    def wait_status(self, condition, what, timeout=20):
        """Waits until `condition(status)` holds, and returns that status."""

        def met():
            status = self.status()
            return status if condition(status) else None

        return until(met, lambda: f"{what}: {self.status()}", timeout)

    def wait_delivered(self, agent=None, timeout=40):
        """Returns when wait_delivered() says that everything committed before has arrived; fails at once when the agent has died."""

        def delivered():
            if agent is not None:
                agent.assert_alive()
            return self.database.one("SELECT conveyor.wait_delivered(%s, '500 ms')", self.name)

        try:
            until(delivered, lambda: f"{self.name} is delivered: {self.status()}", timeout, every=0.01)
        except TooLate as late:
            raise TooLate(f"{late}\n{agent.log_tail() if agent else ''}") from None

    def wait_request(self, request, agent=None, timeout=40):
        """Returns the request's row of resync_status when it has ended."""

        def ended():
            if agent is not None:
                agent.assert_alive()
            row = self.database.record("SELECT * FROM conveyor.resync_status WHERE id = %s", request)
            return row if row["finished_at"] else None

        return until(ended, lambda: f"request {request} ends: {self.status()}", timeout)

    def wait_dead_letters(self, *keys, timeout=20):
        """Waits until the dead letters are exactly these."""
        until(lambda: set(self.dead_letters()) == set(keys), lambda: f"dead letters {keys}: {self.dead_letters()}", timeout)

    def index(self):
        """The one concrete index behind the alias."""
        names = self.search.alias_indices(self.alias)
        assert len(names) == 1, f"the alias {self.alias} names {names}"
        return names[0]
