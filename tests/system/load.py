"""Mixed transactions on the shop: what an application does, including what it takes back."""

import random
import threading
import time

import psycopg2

from shop import CUSTOMERS


def some_order(cursor):
    """An order that is probably there: the keys start dense and grow at the end."""
    cursor.execute("SELECT id FROM shop.orders WHERE id >= %s ORDER BY id LIMIT 1", (random.randint(1, 2500),))
    row = cursor.fetchone()
    return row[0] if row else 1


def new_order(cursor):
    cursor.execute("INSERT INTO shop.orders (customer_id, total) VALUES (%s, %s) RETURNING id", (random.randint(1, CUSTOMERS), random.randint(1, 500)))
    order = cursor.fetchone()[0]
    for _ in range(random.randint(0, 4)):
        cursor.execute("INSERT INTO shop.items (order_id, product, quantity, price) VALUES (%s, 'Thing', %s, 9.50)", (order, random.randint(1, 9)))


def new_status(cursor):
    cursor.execute("UPDATE shop.orders SET status = %s WHERE id = %s", (f"status {random.randint(1, 10**6)}", some_order(cursor)))


def delete_order(cursor):
    order = some_order(cursor)
    cursor.execute("DELETE FROM shop.items WHERE order_id = %s", (order,))
    cursor.execute("DELETE FROM shop.orders WHERE id = %s", (order,))


def delete_and_insert_again(cursor):
    order = some_order(cursor)
    cursor.execute("DELETE FROM shop.orders WHERE id = %s", (order,))
    cursor.execute("INSERT INTO shop.orders (id, customer_id, status) VALUES (%s, 1, 'back again') ON CONFLICT DO NOTHING", (order,))


def move_item(cursor):
    cursor.execute(
        "UPDATE shop.items SET order_id = %s WHERE id = (SELECT id FROM shop.items WHERE order_id = %s LIMIT 1)", (some_order(cursor), some_order(cursor))
    )


def rename_customer(cursor):
    cursor.execute("UPDATE shop.customers SET name = %s WHERE id = %s", (f"Name {random.randint(1, 10**6)}", random.randint(1, CUSTOMERS)))


def irrelevant_change(cursor):
    cursor.execute("UPDATE shop.customers SET internal_note = %s WHERE id = %s", (str(random.random()), random.randint(1, CUSTOMERS)))


def partly_taken_back(cursor):
    cursor.execute("SAVEPOINT inner_change")
    new_order(cursor)
    new_status(cursor)
    cursor.execute("ROLLBACK TO SAVEPOINT inner_change")
    new_status(cursor)
    cursor.execute("SAVEPOINT second")
    move_item(cursor)
    cursor.execute("RELEASE SAVEPOINT second")


def late_commit(cursor):
    """Its xid is old when it commits: newer ones have been delivered meanwhile."""
    new_status(cursor)
    time.sleep(random.uniform(0.05, 0.6))
    new_status(cursor)


class TakenBack(Exception):
    """The transaction rolls back."""


def rolled_back(cursor):
    new_order(cursor)
    delete_order(cursor)
    raise TakenBack


MIX = [new_order] * 4 + [new_status] * 6 + [delete_order] * 2 + [delete_and_insert_again, move_item, move_item, rename_customer, irrelevant_change]
MIX += [partly_taken_back, late_commit, rolled_back]


class Load:
    """`clients` sessions that together commit about `rate` transactions a second until stop(). Lost connections are made again."""

    def __init__(self, database, clients=4, rate=100, mix=MIX):
        self.database = database
        self.pause = clients / rate
        self.mix = mix
        self.committed = 0
        self._lock = threading.Lock()
        self._ending = threading.Event()
        self._failure = None
        self._threads = [threading.Thread(target=self._run, daemon=True) for _ in range(clients)]

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.stop()

    def stop(self):
        self._ending.set()
        for thread in self._threads:
            thread.join(30)
            assert not thread.is_alive(), "a writer hangs"
        assert self._failure is None, f"a writer failed: {self._failure}"

    def _run(self):
        connection = None
        while not self._ending.is_set():
            started = time.monotonic()
            try:
                connection = connection or self.database.connect(autocommit=False)
                with connection.cursor() as cursor:
                    random.choice(self.mix)(cursor)
                connection.commit()
                with self._lock:
                    self.committed += 1
            except TakenBack:
                connection.rollback()
            except (psycopg2.errors.DeadlockDetected, psycopg2.errors.UniqueViolation):
                connection.rollback()
            except (psycopg2.OperationalError, psycopg2.InterfaceError):
                connection = None
            except Exception as failure:  # noqa: BLE001 - shown by stop()
                self._failure = failure
                return
            self._ending.wait(max(0, self.pause - (time.monotonic() - started)))
        if connection is not None:
            connection.close()
