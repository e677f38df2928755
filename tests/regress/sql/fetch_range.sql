-- Documents by ranges of the key: the ranges tile the view, and what has no place in any of them is reported once.
SET client_min_messages = error;
CREATE EXTENSION IF NOT EXISTS pg_conveyor;
CREATE SCHEMA fetch_range;
SET search_path = fetch_range, public;

CREATE TABLE item (id int PRIMARY KEY, name text);
INSERT INTO item SELECT g, 'n' || g FROM generate_series(1, 20) g;
CREATE VIEW item_document AS SELECT id, name FROM item WHERE id <> 7;
CREATE TABLE part (a text, b int, PRIMARY KEY (a, b)) PARTITION BY LIST (a);
CREATE TABLE part_x PARTITION OF part FOR VALUES IN ('x');
CREATE TABLE part_y PARTITION OF part DEFAULT;
INSERT INTO part SELECT k, g FROM unnest(ARRAY['x', 'y']) k, generate_series(1, 3) g;
CREATE VIEW part_document AS SELECT b, a FROM part;
CREATE TABLE loose (k text, j text, v int);
INSERT INTO loose VALUES ('a', 'p', 1), ('a', 'p', 2), ('b', NULL, 3), (NULL, 'q', 4), ('c', 'r', 5);
CREATE VIEW loose_document AS SELECT k, j, v FROM loose;

SELECT conveyor.create_target('fetch_range', 'ndjson', '{"directory": "/tmp"}');
SELECT conveyor.create_feed('range_items', 'item_document');
SELECT conveyor.create_feed('range_parts', 'part_document');
SELECT conveyor.create_feed('range_loose', 'loose_document', ARRAY['k', 'j']);
SELECT conveyor.create_delivery('range_' || n, 'range_' || n, 'fetch_range') FROM unnest(ARRAY['items', 'parts', 'loose']) n;

BEGIN READ ONLY;
-- first is exclusive, last inclusive
SELECT kind, key, body FROM (SELECT conveyor.fetch_range('range_items', '{5}', '{9}', pg_current_snapshot()) AS f) a, conveyor.frame_records(f) WHERE kind <> 'h';
SELECT kind, count(*), min(key::int), max(key::int) FROM (SELECT conveyor.fetch_range('range_items', NULL, '{9}', pg_current_snapshot()) AS f) a, conveyor.frame_records(f) GROUP BY 1 ORDER BY 1;
SELECT kind, count(*), min(key::int), max(key::int) FROM (SELECT conveyor.range_keys('range_items', '{18}', NULL, pg_current_snapshot()) AS f) a, conveyor.frame_records(f) GROUP BY 1 ORDER BY 1;
-- the order of the key's columns is that of the root's primary key
SELECT kind, key, body FROM (SELECT conveyor.fetch_range('range_parts', '{x,2}', '{y,1}', pg_current_snapshot()) AS f) a, conveyor.frame_records(f) WHERE kind <> 'h';
-- duplicates and rows without a key are reported, never chosen from; the latter by the first range only
SELECT kind, key, body, type FROM (SELECT conveyor.fetch_range('range_loose', NULL, NULL, pg_current_snapshot()) AS f) a, conveyor.frame_records(f) WHERE kind <> 'h';
SELECT kind, key, type FROM (SELECT conveyor.fetch_range('range_loose', '{a,p}', NULL, pg_current_snapshot()) AS f) a, conveyor.frame_records(f) WHERE kind <> 'h';
SELECT kind, key FROM (SELECT conveyor.range_keys('range_loose', NULL, NULL, pg_current_snapshot()) AS f) a, conveyor.frame_records(f) WHERE kind <> 'h';
-- hashes instead of documents: the same rows, refused rows as before, and equal hashes for equal documents only
SELECT kind, count(*), count(DISTINCT number), min(key::int), max(key::int) FROM (SELECT conveyor.range_contents('range_items', '{5}', NULL, pg_current_snapshot()) AS f) a, conveyor.frame_records(f) WHERE kind <> 'h' GROUP BY 1 ORDER BY 1;
SELECT kind, key, body, type FROM (SELECT conveyor.range_contents('range_loose', NULL, NULL, pg_current_snapshot()) AS f) a, conveyor.frame_records(f) WHERE kind NOT IN ('h', 'c');
SELECT array_agg(number ORDER BY key) = (SELECT array_agg(number ORDER BY key) FROM (SELECT conveyor.range_contents('range_items', '{2}', '{6}', pg_current_snapshot()) AS f) a, conveyor.frame_records(f) WHERE kind = 'c') AS same
  FROM (SELECT conveyor.range_contents('range_items', '{2}', '{6}', pg_current_snapshot()) AS f) a, conveyor.frame_records(f) WHERE kind = 'c';
-- walking the root: each end is the first of the next range; the last range is open
SELECT conveyor.range_end('range_items', NULL, 8), conveyor.range_end('range_items', '{8}', 8), conveyor.range_end('range_items', '{16}', 8);
SELECT conveyor.range_end('range_parts', NULL, 4), conveyor.range_end('range_parts', '{y,1}', 2), conveyor.range_end('range_parts', '{y,3}', 1);
SELECT conveyor.range_end('range_loose', NULL, 1) IS NULL AS no_root;
COMMIT;
-- what cannot be a bound
BEGIN READ ONLY; SELECT conveyor.fetch_range('range_items', '{x}', NULL, pg_current_snapshot()); ROLLBACK;
BEGIN READ ONLY; SELECT conveyor.fetch_range('range_parts', '{x}', NULL, pg_current_snapshot()); ROLLBACK;
BEGIN READ ONLY; SELECT conveyor.fetch_range('range_items', '{NULL}', NULL, pg_current_snapshot()); ROLLBACK;
SELECT conveyor.range_end('range_items', NULL, 0);

SELECT conveyor.drop_delivery('range_' || n), conveyor.drop_feed('range_' || n) FROM unnest(ARRAY['items', 'parts', 'loose']) n;
SELECT conveyor.drop_target('fetch_range');
DROP SCHEMA fetch_range CASCADE;
