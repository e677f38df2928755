-- Nothing of the log is logically decoded: neither its rows, nor its emptying. Needs wal_level = logical.
CREATE TABLE published (id int PRIMARY KEY, v text);
SELECT test.watch('published', '{v}', '{id,v}');
SET client_min_messages = error;
CREATE PUBLICATION everything FOR ALL TABLES;
RESET client_min_messages;
SELECT 'created' FROM pg_create_logical_replication_slot('conveyor_regress', 'pgoutput');
INSERT INTO published SELECT n, repeat('x', 5000 * n) FROM generate_series(1, 3) AS n;
SELECT count(*) FROM test.captured();
-- Three inserts (73), and no TRUNCATE.
SELECT get_byte(data, 0) AS message, count(*)
  FROM pg_logical_slot_peek_binary_changes('conveyor_regress', NULL, NULL, 'proto_version', '1', 'publication_names', 'everything')
 WHERE get_byte(data, 0) IN (ascii('I'), ascii('T')) GROUP BY 1;
SELECT count(*) AS of_the_log
  FROM pg_logical_slot_peek_binary_changes('conveyor_regress', NULL, NULL, 'proto_version', '1', 'publication_names', 'everything')
 WHERE get_byte(data, 0) = ascii('R') AND position('log_'::bytea IN data) > 0;
SET conveyor.segment_size = '1MB';
SELECT conveyor.log_rotate() >= 0 AS rotated;
SELECT count(*) AS truncates
  FROM pg_logical_slot_get_binary_changes('conveyor_regress', NULL, NULL, 'proto_version', '1', 'publication_names', 'everything')
 WHERE get_byte(data, 0) = ascii('T');
SELECT pg_drop_replication_slot('conveyor_regress');
DROP PUBLICATION everything;
SELECT test.unwatch('published');
