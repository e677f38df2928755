-- Batches that fail: the row at fault is found and kept, what cannot succeed stops the job, and what was committed stays.
SET client_min_messages = error;
CREATE EXTENSION IF NOT EXISTS pg_conveyor;
CREATE SCHEMA migrate_failures;
SET search_path = migrate_failures;
CREATE TABLE source (id int PRIMARY KEY, amount text NOT NULL);
INSERT INTO source SELECT g, g::text FROM generate_series(1, 1000) g;
UPDATE source SET amount = 'ten' WHERE id = 10;
UPDATE source SET amount = '1e' WHERE id IN (501, 502);
UPDATE source SET amount = -1 WHERE id = 1000;
CREATE TABLE target (id int PRIMARY KEY, amount int CHECK (amount > 0), times int NOT NULL DEFAULT 1);
CREATE VIEW jobs AS SELECT job, state, rows_done, dead_rows, warning, last_error FROM conveyor.job_status WHERE migration = 'migrate_failures';
\set fixed '{"batch_size": 100, "min_batch_size": 100, "max_batch_size": 100}'
\set VERBOSITY terse

-- dead rows: found one by one, the others are there once
SELECT conveyor.create_migration('migrate_failures', :'fixed');
SELECT conveyor.add_job('migrate_failures', 'copy', 'source', 'INSERT INTO target (id, amount) SELECT id, amount::int FROM batch');
CALL conveyor.run_migration('migrate_failures');
SELECT * FROM jobs;
SELECT count(*), sum(amount), max(times) FROM target;
SELECT key, sqlstate, reason FROM conveyor.dead_row WHERE migration = 'migrate_failures' ORDER BY key::int;

-- tried again: what is mended goes through, what is not stays dead
UPDATE source SET amount = id WHERE id IN (10, 501);
DELETE FROM source WHERE id = 1000;
BEGIN;
SELECT conveyor.retry_migration('migrate_failures');
SELECT conveyor.pause_migration('migrate_failures');
COMMIT;
SELECT conveyor.run_batch(id, 3) FROM conveyor.job_definition WHERE migration = 'migrate_failures';
UPDATE conveyor.migration_state SET state = 'running' WHERE migration = 'migrate_failures';
CALL conveyor.run_migration('migrate_failures');
SELECT * FROM jobs;
SELECT count(*), sum(amount), max(times) FROM target;
SELECT key, sqlstate FROM conveyor.dead_row WHERE migration = 'migrate_failures' ORDER BY key;
SELECT conveyor.drop_migration('migrate_failures');

-- Runs a job of its own by this statement; says how it ended and what is there of it.
CREATE PROCEDURE go(options jsonb, statement text DEFAULT NULL, call regprocedure DEFAULT NULL) LANGUAGE sql AS $$
    TRUNCATE migrate_failures.target;
    SELECT conveyor.drop_migration('migrate_failures') WHERE EXISTS (SELECT FROM conveyor.migration_definition WHERE migration = 'migrate_failures');
    SELECT conveyor.create_migration('migrate_failures', '{"batch_size": 100, "min_batch_size": 100, "max_batch_size": 100}');
    SELECT conveyor.add_job('migrate_failures', 'copy', 'migrate_failures.source', statement, call, options => options, search_path => 'migrate_failures');
$$;
CREATE VIEW outcome AS SELECT j.*, (SELECT count(*) FROM target) AS rows, (SELECT max(times) FROM target) AS times FROM jobs j;

-- on_error: stop
CALL go('{"on_error": "stop"}', 'INSERT INTO target (id, amount) SELECT id, amount::int FROM batch WHERE id < 502');
UPDATE source SET amount = 'ten' WHERE id = 350;
CALL conveyor.run_migration('migrate_failures');
SELECT * FROM outcome;
UPDATE source SET amount = 350 WHERE id = 350;
UPDATE conveyor.migration_state SET state = 'running' WHERE migration = 'migrate_failures';
UPDATE conveyor.job_state SET state = 'running' WHERE id = (SELECT id FROM conveyor.job_definition WHERE migration = 'migrate_failures');
CALL conveyor.run_migration('migrate_failures');
SELECT * FROM outcome;

-- a constraint that is checked at commit is checked in its batch
CREATE TABLE parent (id int PRIMARY KEY);
INSERT INTO parent SELECT g FROM generate_series(1, 1000) g WHERE g <> 77;
CREATE TABLE child (id int PRIMARY KEY REFERENCES parent DEFERRABLE INITIALLY DEFERRED);
CALL go('{}', 'INSERT INTO child SELECT id FROM batch');
CALL conveyor.run_migration('migrate_failures');
SELECT count(*) FROM child;
SELECT key, sqlstate FROM conveyor.dead_row WHERE migration = 'migrate_failures';

-- most batches fail: the statement is at fault, and so is it with too many dead rows
CALL go('{}', 'INSERT INTO target (id, amount) SELECT id, CASE WHEN id % 10 = 0 THEN -1 ELSE 1 END FROM batch');
CALL conveyor.run_migration('migrate_failures');
SELECT state, last_error, dead_rows FROM jobs;
INSERT INTO source SELECT g, g FROM generate_series(1001, 3000) g;
CALL go('{}', 'INSERT INTO target (id, amount) SELECT id, CASE WHEN id % 50 = 0 THEN -1 ELSE 1 END FROM batch');
CALL conveyor.run_migration('migrate_failures');
SELECT state, last_error, dead_rows, rows_done FROM jobs;
CALL go('{"dead_row_limit": 3}', 'INSERT INTO target (id, amount) SELECT id, CASE WHEN id IN (1, 2, 3, 4, 5) THEN -1 ELSE 1 END FROM batch');
CALL conveyor.run_migration('migrate_failures');
SELECT state, last_error, dead_rows FROM jobs;
DELETE FROM source WHERE id > 1000;

-- what no row is to blame for stops the job, and nothing of the batch is left
CALL go('{}', 'INSERT INTO target (id, amount) SELECT id, 1 FROM batch');
ALTER TABLE target RENAME COLUMN amount TO sum;
CALL conveyor.run_migration('migrate_failures');
SELECT state, last_error, rows FROM outcome;
ALTER TABLE target RENAME COLUMN sum TO amount;
CALL go('{}', 'INSERT INTO target (id, amount) SELECT id, 1 FROM batch');
ALTER TABLE source RENAME TO moved;
CREATE TABLE source (id int PRIMARY KEY);
CALL conveyor.run_migration('migrate_failures');
SELECT state, rows FROM outcome;
DROP TABLE source;
ALTER TABLE moved RENAME TO source;
CREATE TABLE short_lived (id int PRIMARY KEY);
INSERT INTO short_lived SELECT g FROM generate_series(1, 300) g;
SELECT conveyor.drop_migration('migrate_failures');
SELECT conveyor.create_migration('migrate_failures', :'fixed');
SELECT conveyor.add_job('migrate_failures', 'copy', 'short_lived', 'INSERT INTO target (id, amount) SELECT id, 1 FROM batch');
DROP TABLE short_lived;
CALL conveyor.run_migration('migrate_failures');
SELECT state, regexp_replace(last_error, '[0-9]{5,}', 'N') FROM jobs;

-- what a call does to its session is undone: role, settings, locks
CREATE ROLE regress_migrate_failures;
CREATE TABLE seen (id int, who text, path text, zone text, locks bigint);
CREATE FUNCTION rude(first int, last int) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO migrate_failures.seen SELECT first, current_user, current_setting('search_path'), current_setting('TimeZone'),
                                             (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid());
    SET search_path = nowhere;
    SET TimeZone = 'Asia/Kathmandu';
    SET ROLE regress_migrate_failures;
    PERFORM pg_advisory_unlock_all();
END
$$;
SET TimeZone = 'UTC';
CALL go('{}', call => 'rude(int, int)');
CALL conveyor.run_migration('migrate_failures');
SELECT state, last_error FROM jobs;
SELECT count(*), count(DISTINCT id), min(path), max(path), min(zone), max(zone), bool_and(who = session_user) AS owner, min(locks), max(locks) FROM seen;
SELECT current_user = session_user AS oneself, current_setting('TimeZone') AS zone;
DROP ROLE regress_migrate_failures;

-- temporary tables, of a batch and of the set-up
CREATE FUNCTION tidy(first int, last int) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    CREATE TEMP TABLE work ON COMMIT DROP AS SELECT id FROM source WHERE id BETWEEN first AND last;
    INSERT INTO target (id, amount) SELECT id, factor FROM work, factors;
END
$$;
CALL go('{"setup": "CREATE TEMP TABLE factors AS SELECT 7 AS factor"}', call => 'tidy(int, int)');
CALL conveyor.run_migration('migrate_failures');
SELECT state, rows_done, rows, times FROM outcome;
CREATE FUNCTION untidy(first int, last int) RETURNS void LANGUAGE plpgsql AS 'BEGIN CREATE TEMP TABLE left_over (id int); INSERT INTO target SELECT g, 1 FROM generate_series(first, last) g; END';
CALL go('{}', call => 'untidy(int, int)');
CALL conveyor.run_migration('migrate_failures');
SELECT state, rows_done, rows, last_error FROM outcome;

-- a call that would commit
CREATE PROCEDURE commits(first int, last int) LANGUAGE plpgsql AS 'BEGIN INSERT INTO target VALUES (first, 1); COMMIT; END';
CALL go('{}', call => 'commits(int, int)');
CALL conveyor.run_migration('migrate_failures');
SELECT state, last_error, rows FROM outcome;

-- a batch that takes too long is made smaller until it does not
CREATE FUNCTION slow(first int, last int) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF last - first > 30 THEN PERFORM pg_sleep(60); END IF;
    INSERT INTO target SELECT g, 1 FROM generate_series(first, last) g;
END
$$;
CALL go('{"statement_timeout": "100 ms", "min_batch_size": 10, "retry_delay": "1 ms"}', call => 'slow(int, int)');
DELETE FROM source WHERE id > 200;
CALL conveyor.run_migration('migrate_failures');
SELECT state, rows_done, dead_rows, rows, times FROM outcome;
CALL go('{"statement_timeout": "100 ms", "min_batch_size": 1, "retry_delay": "1 ms", "max_attempts": 8}', 'SELECT pg_sleep(60) FROM batch WHERE id = 5');
CALL conveyor.run_migration('migrate_failures');
SELECT state, rows_done FROM outcome;
SELECT key, sqlstate, reason FROM conveyor.dead_row WHERE migration = 'migrate_failures';

SELECT conveyor.drop_migration('migrate_failures');
DROP SCHEMA migrate_failures CASCADE;
