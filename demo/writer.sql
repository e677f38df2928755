-- One transaction of the writer (pgbench): orders move on, prices change, customers move house, orders come and go.
\set order_id random(1, 100000)
\set customer_id random(1, 10000)
\set chance random(1, 100)
BEGIN;
UPDATE shop.orders
   SET status = (ARRAY['new', 'paid', 'shipped', 'returned'])[1 + (random() * 3)::int]
 WHERE id = :order_id;
\if :chance <= 40
UPDATE shop.items SET quantity = 1 + quantity % 9, price = price + 0.01 WHERE order_id = :order_id;
\elif :chance <= 60
WITH added AS (INSERT INTO shop.orders (customer_id, note) VALUES (:customer_id, 'a new order') RETURNING id)
INSERT INTO shop.items (order_id, product, quantity, price) SELECT id, 'teapot', 2, 19.90 FROM added;
\elif :chance <= 70
DELETE FROM shop.orders WHERE id = :order_id;
\elif :chance <= 80
UPDATE shop.customers SET city = city || '*' WHERE id = :customer_id;
\endif
COMMIT;
