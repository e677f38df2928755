-- Changes between a delivery's cursor and now become the keys of the documents that they touch.
SET client_min_messages = error;
CREATE EXTENSION IF NOT EXISTS pg_conveyor;
CREATE SCHEMA window_keys;
SET search_path = window_keys, public;
CREATE TABLE customer (id int PRIMARY KEY, name text);
CREATE TABLE orders (id bigint PRIMARY KEY, customer_id int, status text);
CREATE INDEX ON orders (customer_id);
CREATE TABLE item (order_id bigint, sku text, PRIMARY KEY (order_id, sku));
CREATE TABLE note (id int PRIMARY KEY, order_id bigint, body text);
INSERT INTO customer SELECT g, 'c' || g FROM generate_series(1, 3) g;
INSERT INTO orders SELECT g, g % 3 + 1, 'new' FROM generate_series(1, 9) g;
CREATE VIEW order_document AS
  SELECT o.id, o.status, c.name, (SELECT json_agg(i.sku) FROM item i WHERE i.order_id = o.id) AS items,
         (SELECT json_agg(n.body) FROM note n WHERE n.order_id = o.id) AS notes
    FROM orders o LEFT JOIN customer c ON c.id = o.customer_id;
CREATE VIEW item_document AS SELECT order_id, sku FROM item;

SELECT conveyor.create_target('window', 'ndjson', '{"directory": "/tmp"}');
SELECT conveyor.create_feed('window_orders', 'order_document');
SELECT conveyor.create_feed('window_items', 'item_document');
SELECT conveyor.add_watch('window_orders', 'customer', ARRAY['id', 'name'], 'SELECT o.id FROM changed c JOIN orders o ON o.customer_id = c.id -- all of them');
SELECT conveyor.add_watch('window_orders', 'item', ARRAY['order_id', 'sku'], 'SELECT order_id FROM changed');
SELECT conveyor.add_watch('window_orders', 'note', ARRAY['order_id', 'body'], 'SELECT n.order_id FROM changed AS n');
SELECT conveyor.create_delivery('window_orders', 'window_orders', 'window'), conveyor.create_delivery('window_items', 'window_items', 'window');
CREATE VIEW orders_window AS
  SELECT kind, key, type, body FROM (SELECT conveyor.window_keys('window_orders') AS f) a, conveyor.frame_records(f) WHERE kind NOT IN ('h', 'e') ORDER BY kind, length(key), key, type, body;
CREATE VIEW items_window AS
  SELECT kind, key, type, body FROM (SELECT conveyor.window_keys('window_items') AS f) a, conveyor.frame_records(f) WHERE kind NOT IN ('h', 'e') ORDER BY kind, length(key), key, type, body;
CREATE PROCEDURE caught_up() LANGUAGE sql AS $$UPDATE conveyor.delivery_state SET cursor = conveyor.latest_snapshot() WHERE delivery LIKE 'window%'$$;
CALL caught_up();

-- nothing changed, nothing to do
BEGIN READ ONLY; TABLE orders_window; COMMIT;
-- one key however often it changed; both keys of a row that changed its key
UPDATE orders SET status = 'paid' WHERE id IN (1, 2);
UPDATE orders SET status = 'sent' WHERE id IN (2, 3);
UPDATE orders SET id = 90 WHERE id = 9;
DELETE FROM orders WHERE id = 8;
BEGIN READ ONLY; TABLE orders_window; TABLE items_window; COMMIT;
-- the window stays until the cursor moves
BEGIN READ ONLY; TABLE orders_window; COMMIT;
CALL caught_up();
-- a parent's change touches its children; a column that no document has touches none
UPDATE customer SET name = 'other' WHERE id = 2;
BEGIN READ ONLY; TABLE orders_window; COMMIT;
CALL caught_up();
-- a child that moves touches both parents, one without a parent none; two feeds watch item
INSERT INTO item VALUES (4, 'a"b'), (5, 'c');
UPDATE item SET order_id = 6 WHERE order_id = 5;
INSERT INTO note VALUES (1, NULL, 'nobody''s'), (2, 7, 'seven');
BEGIN READ ONLY; TABLE orders_window; TABLE items_window; COMMIT;
CALL caught_up();
-- what was rolled back is in no window
BEGIN; UPDATE orders SET status = 'x' WHERE id = 1; ROLLBACK;
BEGIN; SAVEPOINT s; UPDATE orders SET status = 'x' WHERE id = 1; ROLLBACK TO s; UPDATE orders SET status = 'y' WHERE id = 2; COMMIT;
BEGIN READ ONLY; TABLE orders_window; COMMIT;
CALL caught_up();
-- a truncated table is a signal to those that watch it
TRUNCATE item;
BEGIN READ ONLY; TABLE orders_window; TABLE items_window; COMMIT;
CALL caught_up();
-- so is a request to look again
SELECT conveyor.log_signal(capture, 'somebody said so') FROM conveyor.capture WHERE relation = 'note'::regclass AND retired_at IS NULL;
BEGIN READ ONLY; TABLE orders_window; TABLE items_window; COMMIT;
CALL caught_up();

-- what was recorded in a type that a column no longer has cannot be followed; what is recorded afterwards can
CREATE TABLE tag (order_id bigint, word text, PRIMARY KEY (order_id, word));
SELECT conveyor.add_watch('window_orders', 'tag', ARRAY['order_id', 'word'], 'SELECT order_id::text::bigint FROM changed');
CALL caught_up();
INSERT INTO tag VALUES (3, 'before');
ALTER TABLE tag ALTER order_id TYPE text;
BEGIN READ ONLY; TABLE orders_window; COMMIT;
CALL caught_up();
INSERT INTO tag VALUES ('4', 'after');
BEGIN READ ONLY; TABLE orders_window; COMMIT;
CALL caught_up();
SELECT conveyor.drop_watch('window_orders', 'tag');
CALL caught_up();

-- one change may touch many documents, many changes few, in memory that does not grow with either
INSERT INTO orders SELECT g, 3, 'new' FROM generate_series(1001, 31000) g;
CALL caught_up();
UPDATE customer SET name = 'many' WHERE id = 3;
BEGIN READ ONLY;
SELECT count(*) > 3 AS several_frames, sum((SELECT count(*) FROM conveyor.frame_records(f) WHERE kind = 'k')) AS keys,
       sum((SELECT count(DISTINCT key) FROM conveyor.frame_records(f) WHERE kind = 'k')) AS distinct_keys
  FROM (SELECT conveyor.window_keys('window_orders') AS f) a;
COMMIT;
CALL caught_up();
SET conveyor.window_memory = '64kB';
UPDATE orders SET status = 'all' WHERE id > 1000;
BEGIN READ ONLY;
SELECT count(DISTINCT key) AS keys FROM (SELECT conveyor.window_keys('window_orders') AS f) a, conveyor.frame_records(f) WHERE kind = 'k';
-- left early, in the middle of a slice
SELECT length(f) > 65000 AS full_frame FROM (SELECT conveyor.window_keys('window_orders') AS f) a LIMIT 1;
SELECT name FROM pg_cursors;
COMMIT;
CALL caught_up();
UPDATE customer SET name = 'slices' WHERE id > 1;
UPDATE orders SET status = 'slices' WHERE id <= 6000;
BEGIN READ ONLY;
SELECT count(DISTINCT key) AS keys, (SELECT count(*) FROM orders WHERE customer_id > 1 OR id <= 6000) AS expected FROM (SELECT conveyor.window_keys('window_orders') AS f) a, conveyor.frame_records(f) WHERE kind = 'k';
COMMIT;
RESET conveyor.window_memory;
CALL caught_up();

-- a key query that fails says which, and nothing is left behind
ALTER TABLE orders RENAME TO orders_renamed;
UPDATE customer SET name = 'fails' WHERE id = 1;
BEGIN READ ONLY; SELECT count(*) FROM (SELECT conveyor.window_keys('window_orders')) a; ROLLBACK;
ALTER TABLE orders_renamed RENAME TO orders;

SELECT conveyor.drop_delivery(n), conveyor.drop_feed(n) FROM unnest(ARRAY['window_orders', 'window_items']) n;
SELECT conveyor.drop_target('window');
DROP SCHEMA window_keys CASCADE;
