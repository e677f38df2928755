-- Documents by keys: each asked key is answered once, by its text, with what the view has.
SET client_min_messages = error;
CREATE EXTENSION IF NOT EXISTS pg_conveyor;
CREATE SCHEMA fetch_keys;
SET search_path = fetch_keys, public;

CREATE TABLE orders (id bigint PRIMARY KEY, status text, extra json);
INSERT INTO orders SELECT g, 'new', NULL FROM generate_series(1, 5) g;
UPDATE orders SET extra = E'{"a":\n 1,\r\n "b": "x\\ny"}' WHERE id = 4;
CREATE VIEW order_document AS SELECT id, status, extra FROM orders WHERE status <> 'gone';
CREATE TABLE line (sku text, number int, price numeric, PRIMARY KEY (sku, number));
INSERT INTO line VALUES ('a"b', 1, 1.5), ('a"b', 2, 2.5), (E'tab\t', 1, 3), ('ä', 7, 4);
CREATE VIEW line_document AS SELECT sku, number, price FROM line;
CREATE TABLE measure (n numeric, name text);
INSERT INTO measure VALUES (1.0, 'one'), (1.00, 'one too'), (2, 'two'), (2.0, 'other two'), (2, 'two again'), (NULL, 'none');
CREATE VIEW measure_document AS SELECT n, name FROM measure;

SELECT conveyor.create_target('fetch_keys', 'ndjson', '{"directory": "/tmp"}');
SELECT conveyor.create_feed('fetch_orders', 'order_document');
SELECT conveyor.create_feed('fetch_lines', 'line_document');
SELECT conveyor.create_feed('fetch_measures', 'measure_document', ARRAY['n']);
SELECT conveyor.create_delivery('fetch_' || n, 'fetch_' || n, 'fetch_keys') FROM unnest(ARRAY['orders', 'lines', 'measures']) n;

BEGIN READ ONLY;
-- found, missing, asked twice, and texts that are no bigint at all: all in one batch
SELECT kind, key, body, type, CASE kind WHEN 'e' THEN number END AS records
  FROM (SELECT conveyor.fetch_keys('fetch_orders', '{1,2,99,x,"",1,4,99999999999999999999,01}', pg_current_snapshot()) AS f) a, conveyor.frame_records(f)
 WHERE kind <> 'h';
-- none of that has given the session a transaction id
SELECT pg_current_xact_id_if_assigned() IS NULL AS no_id;
-- nothing asked, nothing answered
SELECT kind, key, body FROM (SELECT conveyor.fetch_keys('fetch_orders', '{}', pg_current_snapshot()) AS f) a, conveyor.frame_records(f) WHERE kind <> 'h';
-- several columns: the id is a JSON array of texts; a combination that nobody asked for is not returned
SELECT kind, key, body FROM (SELECT conveyor.fetch_keys('fetch_lines',
         ARRAY['["a\"b","1"]', '["a\"b","7"]', '["tab\t","1"]', '["ä","7"]', '["a\"b", "2"]', '["a"]', 'a', '["ä","seven"]'], pg_current_snapshot()) AS f) a, conveyor.frame_records(f) WHERE kind <> 'h';
-- equal is not the same: 1.0 and 1.00 are two documents; two rows of one text are none
SELECT kind, key, body, type FROM (SELECT conveyor.fetch_keys('fetch_measures', '{1.0,1,2}', pg_current_snapshot()) AS f) a, conveyor.frame_records(f) WHERE kind <> 'h';
-- those that the view does not have
SELECT kind, key FROM (SELECT conveyor.absent_keys('fetch_orders', '{1,2,99,x}', pg_current_snapshot()) AS f) a, conveyor.frame_records(f) WHERE kind <> 'h';
SELECT kind, key FROM (SELECT conveyor.absent_keys('fetch_measures', '{1.0,1,2,NaN}', pg_current_snapshot()) AS f) a, conveyor.frame_records(f) WHERE kind <> 'h';
-- the header names the snapshot and its version, which is the epoch above f(S)
SELECT number & ((1::bigint << 48) - 1) = pg_snapshot_xmax(body::pg_snapshot)::text::bigint
         - (SELECT count(*) FROM pg_snapshot_xip(body::pg_snapshot)) AS version_of_snapshot,
       number >> 48 = (SELECT epoch FROM conveyor.identity) AS epoch
  FROM (SELECT conveyor.fetch_keys('fetch_orders', '{}', pg_current_snapshot()) AS f) a, conveyor.frame_records(f) WHERE kind = 'h';
COMMIT;

-- a row that leaves the view is missing
UPDATE orders SET status = 'gone' WHERE id = 1;
BEGIN READ ONLY;
SELECT kind, key FROM (SELECT conveyor.fetch_keys('fetch_orders', '{1,2}', pg_current_snapshot()) AS f) a, conveyor.frame_records(f) WHERE kind <> 'h';
-- many keys and large documents come in many frames, and stopping early leaves nothing behind
SELECT count(*) > 1 AS several_frames, sum((SELECT count(*) FROM conveyor.frame_records(f) WHERE kind = 'm')) AS missing
  FROM (SELECT conveyor.fetch_keys('fetch_orders', ARRAY(SELECT g::text FROM generate_series(100, 30099) g), pg_current_snapshot()) AS f) a;
COMMIT;
BEGIN READ ONLY;
SELECT length(f) > 65000 AS full_frame FROM (SELECT conveyor.fetch_keys('fetch_orders', ARRAY(SELECT g::text FROM generate_series(100, 30099) g), pg_current_snapshot()) AS f) a LIMIT 1;
SELECT name FROM pg_cursors;
COMMIT;

SELECT conveyor.drop_delivery('fetch_' || n), conveyor.drop_feed('fetch_' || n) FROM unnest(ARRAY['orders', 'lines', 'measures']) n;
SELECT conveyor.drop_target('fetch_keys');
DROP SCHEMA fetch_keys CASCADE;
