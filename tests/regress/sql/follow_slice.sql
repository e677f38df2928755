-- A window of many keys is applied in slices, each of them a transaction with its checkpoint.
SET client_min_messages = warning;
CREATE SCHEMA slice;
CREATE TABLE slice.item (id int PRIMARY KEY, v int, rank int);
CREATE TABLE slice.copy (id int PRIMARY KEY, v int, rank int UNIQUE);
INSERT INTO slice.item SELECT n, 0, n FROM generate_series(1, 20) AS n;
SELECT conveyor.create_migration('slices');
SELECT conveyor.add_job('slices', 'copy', 'slice.item', follow => true,
    statement => 'INSERT INTO slice.copy SELECT * FROM batch ON CONFLICT (id) DO UPDATE SET v = excluded.v, rank = excluded.rank');
SELECT id AS job FROM conveyor.job_definition WHERE migration = 'slices' \gset
UPDATE conveyor.migration_state SET state = 'running', started_at = now() WHERE migration = 'slices';
SELECT conveyor.follow_begin(:job);
SELECT conveyor.run_batch(:job);
SELECT conveyor.run_batch(:job);
SELECT conveyor.job_finish(:job);
SELECT state, pending, lag FROM conveyor.job_status WHERE migration = 'slices';
CREATE FUNCTION slice.behind() RETURNS bigint LANGUAGE sql AS 'SELECT count(*) FROM slice.item i FULL JOIN slice.copy c USING (id) WHERE (i.v, i.rank) IS DISTINCT FROM (c.v, c.rank)';
-- Applies slices until the window is over; each of them commits. Returns nothing.
CREATE PROCEDURE slice.apply(job int, keys int) LANGUAGE plpgsql AS $$
BEGIN
    WHILE conveyor.follow_slice(job, keys) LOOP
        COMMIT;
    END LOOP;
END
$$;

-- One transaction, one row of the log; the slices lie inside of it.
UPDATE slice.item SET v = 1;
SELECT conveyor.follow_slice(:job, 7), slice.behind();
SELECT pending, lag > '0' AS behind FROM conveyor.job_status WHERE migration = 'slices';
SELECT pass, keys, seen FROM conveyor.job_window;
-- What is rolled back comes again.
BEGIN;
SELECT conveyor.follow_slice(:job, 7), slice.behind();
ROLLBACK;
SELECT slice.behind();
-- A row that changes behind its slice, and one in front of it: both are right in the end, the first one by the next window.
UPDATE slice.item SET v = 2 WHERE id IN (1, 20);
SELECT conveyor.follow_slice(:job, 7), slice.behind();
SELECT conveyor.follow_slice(:job, 7), slice.behind();
SELECT pending, (SELECT count(*) FROM conveyor.job_window) AS under_way FROM conveyor.job_status WHERE migration = 'slices';
SELECT id, c.v FROM slice.copy c WHERE v <> 1;
SELECT conveyor.follow_slice(:job, 7), slice.behind();
SELECT pending, lag FROM conveyor.job_status WHERE migration = 'slices';

-- A slice that ends where the window does: the next one finds nothing more.
UPDATE slice.item SET v = 3;
SELECT conveyor.follow_slice(:job, 10), slice.behind();
SELECT conveyor.follow_slice(:job, 10), slice.behind();
SELECT conveyor.follow_slice(:job, 10), slice.behind();
-- One key at a time, over several rows of the log.
UPDATE slice.item SET v = 4 WHERE id <= 3;
UPDATE slice.item SET v = 4 WHERE id > 17;
CALL slice.apply(:job, 1);
SELECT count(*) FROM slice.copy WHERE v = 4;
UPDATE slice.item SET v = 5;
CALL slice.apply(:job, 1);
SELECT slice.behind(), (SELECT count(*) FROM conveyor.dead_row) AS dead_rows;

-- follow_window ends the window that is under way and applies what is behind it, in one transaction.
UPDATE slice.item SET v = 6;
SELECT conveyor.follow_slice(:job, 5), slice.behind();
UPDATE slice.item SET v = 7 WHERE id = 1;
SELECT conveyor.follow_window(:job, 4), slice.behind();
SELECT count(*) FROM conveyor.job_window;

-- Keys that are gone go first, over all slices, and make room for others in unique columns.
SELECT conveyor.cancel_migration('slices'), conveyor.drop_migration('slices');
SELECT conveyor.create_migration('slices');
SELECT conveyor.add_job('slices', 'copy', 'slice.item', follow => true,
    statement => 'INSERT INTO slice.copy SELECT * FROM batch ON CONFLICT (id) DO UPDATE SET v = excluded.v, rank = excluded.rank',
    options => '{"delete_statement": "DELETE FROM slice.copy c USING gone g WHERE c.id = g.id"}');
SELECT id AS job FROM conveyor.job_definition WHERE migration = 'slices' \gset
UPDATE conveyor.migration_state SET state = 'running', started_at = now() WHERE migration = 'slices';
SELECT conveyor.follow_begin(:job);
SELECT conveyor.run_batch(:job);
SELECT conveyor.run_batch(:job);
SELECT conveyor.job_finish(:job);
UPDATE slice.item SET id = id + 100;
SELECT conveyor.follow_slice(:job, 15);
SELECT pass, keys FROM conveyor.job_window;
CALL slice.apply(:job, 15);
SELECT slice.behind(), (SELECT count(*) FROM slice.copy) AS rows, (SELECT count(*) FROM conveyor.dead_row) AS dead_rows;

-- Somebody rewrites the log in the middle of a window, without what was rolled back: the place in it says nothing any more, and
-- the pass begins anew.
BEGIN;
SET LOCAL conveyor.buffer_size = '64kB';
INSERT INTO slice.item SELECT n, 0, n FROM generate_series(1000, 100000) AS n;
ROLLBACK;
UPDATE slice.item SET v = 8;
SELECT conveyor.follow_slice(:job, 15);
SELECT pass FROM conveyor.job_window;
\set ECHO none
SELECT format('VACUUM FULL %s', relation) FROM conveyor.log_segment ORDER BY number \gexec
\set ECHO all
CALL slice.apply(:job, 15);
SELECT slice.behind(), (SELECT count(*) FROM conveyor.job_window) AS under_way;

-- What the log cannot tell counts when the window is over, wherever in it that was.
INSERT INTO slice.item SELECT n, 9, 900 + n FROM generate_series(1, 10) AS n;
TRUNCATE slice.item;
INSERT INTO slice.item SELECT n, 10, 900 + n FROM generate_series(1, 10) AS n;
SELECT conveyor.follow_slice(:job, 6);
SELECT state FROM conveyor.job_status WHERE migration = 'slices';
CALL slice.apply(:job, 6);
SELECT state, warning, (SELECT count(*) FROM conveyor.job_window) AS under_way FROM conveyor.job_status WHERE migration = 'slices';
SELECT conveyor.run_batch(:job);
SELECT conveyor.run_batch(:job);
SELECT conveyor.job_finish(:job);
CALL slice.apply(:job, 100);
SELECT problem, count(*) FROM conveyor.verify_job('slices', 'copy', 'SELECT * FROM slice.copy', repair => true) GROUP BY problem;
SELECT slice.behind();

-- A slice may take as long as a batch.
CREATE FUNCTION slice.slowly() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.v = 11 THEN
        PERFORM pg_sleep(60);
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER slowly BEFORE INSERT ON slice.copy FOR EACH ROW EXECUTE FUNCTION slice.slowly();
SELECT conveyor.alter_job('slices', 'copy', '{"statement_timeout": "100 ms"}');
UPDATE slice.item SET v = 11 WHERE id = 1;
\set VERBOSITY terse
SELECT conveyor.follow_slice(:job, 10);
SELECT conveyor.follow_window(:job);
\set VERBOSITY default
UPDATE slice.item SET v = 12 WHERE id = 1;
CALL slice.apply(:job, 10);
SELECT slice.behind();

-- Slices count against the rate, and are no larger than what one second has; behind the copy they wait for it.
SELECT verdict, copying FROM conveyor.follow_next(:job);
UPDATE slice.item SET v = 13 WHERE id <= 9;
SELECT conveyor.alter_job('slices', 'copy', '{"rate": 3}');
SELECT conveyor.follow_slice(:job), slice.behind();
SELECT conveyor.follow_slice(:job), slice.behind();
SELECT verdict, wait BETWEEN 1 AND 1000 AS wait FROM conveyor.follow_next(:job);
SELECT conveyor.alter_job('slices', 'copy', '{"rate": null}');
SELECT verdict, wait FROM conveyor.follow_next(:job);
CALL slice.apply(:job, 10);

-- Throttles hold windows as they hold batches, as long as the change log has room.
SELECT conveyor.alter_job('slices', 'copy', '{"throttle_query": "SELECT ''not now''"}');
SELECT conveyor.follow_throttle(:job);
SELECT throttle LIKE '%not now%' AS held FROM conveyor.job_status WHERE migration = 'slices';
SET conveyor.max_log_size = '1MB';
INSERT INTO slice.item SELECT n, 0, n FROM generate_series(1000, 400000) AS n;
SELECT conveyor.follow_throttle(:job);
RESET conveyor.max_log_size;

SELECT conveyor.cancel_migration('slices'), conveyor.drop_migration('slices');
SELECT count(*) FROM conveyor.job_window;
SET client_min_messages = error;
DROP SCHEMA slice CASCADE;
