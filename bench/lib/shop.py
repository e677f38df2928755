"""The shop: orders with a customer and three items each, about 600 bytes of JSON a document."""
from pathlib import Path

SQL = Path(__file__).with_name("shop.sql")
DOCUMENTS = "SELECT row_to_json(d) FROM shop.order_document d"


def fill(connection, orders, customers):
    """Customers get the orders round robin: with one customer, all are his."""
    connection.run(SQL.read_text(encoding="utf-8"))
    connection.run("SELECT shop.fill(%s, %s)", (orders, customers))
    connection.run("VACUUM (FREEZE, ANALYZE)")


def create_feed(connection, feed="orders"):
    connection.run("SELECT conveyor.create_feed(%s, 'shop.order_document')", (feed,))
