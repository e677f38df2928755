-- What explain_feed() tells people; and that a feed of several tables delivers what changed in any of them.
SET client_min_messages = error;
CREATE EXTENSION IF NOT EXISTS pg_conveyor;
CREATE SCHEMA explained;
SET search_path = explained, public;
CREATE TABLE customer (id int PRIMARY KEY, name text, secret text);
CREATE TABLE orders (id bigint PRIMARY KEY, customer_id int, status text, note text);
CREATE TABLE item (id int PRIMARY KEY, order_id bigint, sku text);
CREATE TABLE rate (name text PRIMARY KEY, value numeric);
INSERT INTO customer SELECT g, 'c' || g FROM generate_series(1, 30) g;
INSERT INTO orders SELECT g, g % 30 + 1, 'new' FROM generate_series(1, 300) g;
INSERT INTO item SELECT g, g % 300 + 1, 's' || g FROM generate_series(1, 900) g;
VACUUM ANALYZE customer, orders, item;
CREATE VIEW order_document AS
  SELECT o.id, o.status, c.name, (SELECT array_agg(i.sku ORDER BY i.id) FROM item i WHERE i.order_id = o.id) AS items, (SELECT value FROM rate WHERE name = 'x') AS rate
    FROM orders o LEFT JOIN customer c ON c.id = o.customer_id WHERE o.status <> 'draft';
SELECT conveyor.create_target('explained', 'ndjson', '{"directory": "/tmp"}');
SELECT conveyor.create_feed('explained', 'order_document', options => '{"ignore": ["rate"]}');
\t on
\pset format unaligned
SELECT l FROM conveyor.explain_feed('explained') WITH ORDINALITY AS e(l, n)
 WHERE n < (SELECT n FROM conveyor.explain_feed('explained') WITH ORDINALITY AS e(l, n) WHERE l ~ '^reading') OR l ~ '^reading|warning' ORDER BY n;
-- the commands that it prints are the cure
CREATE INDEX ON orders (customer_id);
CREATE INDEX ON item (order_id);
SELECT * FROM conveyor.explain_feed('explained') AS l WHERE l ~ 'warning|ignored|not watched';
-- by hand
SELECT conveyor.add_watch('explained', 'rate', '{value}', 'SELECT r.id FROM changed, orders AS r');
SELECT * FROM conveyor.explain_feed('explained') AS l WHERE l ~ '^explained.rate';
\t off
\pset format aligned

SELECT conveyor.create_delivery('explained', 'explained', 'explained');
CREATE VIEW keys AS SELECT coalesce(key, body) FROM (SELECT conveyor.window_keys('explained') AS f) a, conveyor.frame_records(f) WHERE kind NOT IN ('h', 'e') ORDER BY length(key), key;
CREATE PROCEDURE caught_up() LANGUAGE sql AS $$UPDATE conveyor.delivery_state SET cursor = conveyor.latest_snapshot() WHERE delivery = 'explained'$$;
CALL caught_up();
-- a column that no document has costs nothing
UPDATE customer SET secret = 'x';
UPDATE orders SET note = 'x';
BEGIN READ ONLY; TABLE keys; COMMIT;
-- a parent, a child that moves, a row that leaves the view and one that was never in it
UPDATE customer SET name = 'other' WHERE id = 2;
BEGIN READ ONLY; SELECT count(*) FROM keys; COMMIT;
CALL caught_up();
UPDATE item SET order_id = 7 WHERE id = 1;
UPDATE orders SET status = 'draft' WHERE id = 8;
INSERT INTO orders VALUES (1000, 1, 'draft');
BEGIN READ ONLY; TABLE keys; COMMIT;
CALL caught_up();
-- both in one window: each finds its documents by what was and what is
UPDATE orders SET customer_id = 5 WHERE id = 9;
UPDATE customer SET name = 'third' WHERE id = 10;
BEGIN READ ONLY; SELECT count(*), bool_or(coalesce = '9') AS moved FROM keys; COMMIT;
SELECT conveyor.drop_delivery('explained');
SELECT conveyor.drop_feed('explained');
SELECT conveyor.drop_target('explained');
DROP SCHEMA explained CASCADE;
