"""The shop: orders with a customer and three items each, about 600 bytes of JSON a document."""
from pathlib import Path

SQL = Path(__file__).with_name("shop.sql")
DOCUMENTS = "SELECT row_to_json(d) FROM shop.order_document d"
WATCHES = {  # relation: (columns that documents use, how a changed row leads to documents)
    "shop.orders": (["id", "customer_id", "status", "ordered_at", "total", "note"], "SELECT id FROM changed"),
    "shop.customers": (["id", "name", "email", "city", "tier"],
                       "SELECT o.id FROM changed c JOIN shop.orders o ON o.customer_id = c.id"),
    "shop.items": (["id", "order_id", "sku", "title", "quantity", "price"], "SELECT order_id FROM changed"),
}


def fill(connection, orders, customers):
    """Customers get the orders round robin: with one customer, all are his."""
    connection.run(SQL.read_text(encoding="utf-8"))
    connection.run("SELECT shop.fill(%s, %s)", (orders, customers))
    connection.run("VACUUM (FREEZE, ANALYZE)")


def create_feed(connection, feed="orders"):
    connection.run("SELECT conveyor.create_feed(%s, 'shop.order_document')", (feed,))
    for relation, (columns, documents) in WATCHES.items():
        connection.run("SELECT conveyor.add_watch(%s, %s, %s, %s)", (feed, relation, columns, documents))
