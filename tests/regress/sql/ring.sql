-- Emptying and growing the ring.
CREATE TABLE turn (id int PRIMARY KEY, v int, filler text DEFAULT repeat('x', 1500));
SELECT test.watch('turn', '{v}', '{id,filler}');
SET conveyor.segment_transactions = 1;
SET conveyor.segment_size = '1MB';
-- No cursor: everything but what is being written can go.
SELECT conveyor.log_rotate() >= 0 AS rotated;
SELECT count(*) >= 0 AS looked FROM test.captured();
INSERT INTO turn SELECT n, 0 FROM generate_series(1, 3) AS n;
-- A cursor from before holds it; one from after lets it go.
CREATE TABLE test.cursors (cursor pg_snapshot);
INSERT INTO test.cursors SELECT seen FROM test.position;
CREATE TABLE test.cursor_view AS SELECT pg_get_viewdef('conveyor.log_cursor') AS definition;
CREATE OR REPLACE VIEW conveyor.log_cursor AS SELECT ''::text AS holder, cursor FROM test.cursors;
SELECT conveyor.log_rotate() >= 0 AS rotated;
SELECT count(*) FROM conveyor.log_contents() WHERE relation = 'turn'::regclass;
UPDATE test.cursors SET cursor = conveyor.latest_snapshot();
SELECT conveyor.log_rotate();
SELECT count(*) FROM conveyor.log_contents();
-- Out of line values go with it.
CREATE TABLE wide (id int PRIMARY KEY, v text);
ALTER TABLE wide ALTER v SET STORAGE EXTERNAL;
SELECT test.watch('wide', '{v}', '{v}');
INSERT INTO wide SELECT 1, string_agg(md5(n::text), '') FROM generate_series(1, 100000) AS n;
SELECT conveyor.log_size() > 3000000 AS large;
UPDATE test.cursors SET cursor = conveyor.latest_snapshot();
SELECT conveyor.log_rotate();
SELECT conveyor.log_size() < 100000 AS small;
-- Full and held all around: the ring grows, and its segments belong to the extension.
SELECT count(*) FROM conveyor.log_segment;
SET conveyor.buffer_size = '64kB';
DO $$
BEGIN
    FOR i IN 1 .. 16 LOOP
        INSERT INTO turn SELECT i * 1000 + n, 0 FROM generate_series(1, 900) AS n;
        COMMIT;
    END LOOP;
END
$$;
SELECT conveyor.log_rotate();
SELECT count(*) FROM conveyor.log_segment;
SELECT count(*) FROM pg_depend WHERE refclassid = 'pg_extension'::regclass AND deptype = 'e'
   AND objid IN (SELECT relation FROM conveyor.log_segment);
SELECT count(*), count(DISTINCT entry) FROM conveyor.log_contents();
UPDATE test.cursors SET cursor = conveyor.latest_snapshot();
SELECT conveyor.log_rotate() >= 16 AS emptied;
SELECT count(*) FROM conveyor.log_contents();
-- Nobody but the extension's functions reads or writes the log.
CREATE ROLE conveyor_test_stranger;
SET ROLE conveyor_test_stranger;
SELECT count(*) FROM conveyor.log_0;
RESET ROLE;
DROP ROLE conveyor_test_stranger;
DO $$ BEGIN EXECUTE (SELECT format('CREATE OR REPLACE VIEW conveyor.log_cursor AS %s', definition) FROM test.cursor_view); END $$;
DROP TABLE test.cursors;
SELECT test.unwatch('turn'), test.unwatch('wide');
