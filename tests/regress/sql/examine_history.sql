-- The guard goes on where an earlier session was: what the latest batches took is kept, and forgotten when they were of another statement.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS pg_conveyor;
CREATE SCHEMA examine_history;
SET search_path = examine_history, public;
CREATE TABLE item (id int PRIMARY KEY);
INSERT INTO item SELECT generate_series(1, 100100);
CREATE TABLE result (id int PRIMARY KEY);
CREATE FUNCTION take(first int, last int) RETURNS void LANGUAGE sql AS 'INSERT INTO examine_history.result SELECT id FROM examine_history.item WHERE id BETWEEN first AND last';
CREATE VIEW seen AS SELECT state, regexp_replace(warning, '(grows with [a-z ]+).*', '\1') AS warning FROM conveyor.job_status WHERE migration = 'history';
-- A job that has done 100 batches, each slower than the one before, when its session ended; and what it does next.
CREATE PROCEDURE begin_late() LANGUAGE plpgsql AS $$
BEGIN
    TRUNCATE examine_history.result;
    PERFORM conveyor.create_migration('history', '{"batch_size": 1000, "min_batch_size": 1000, "max_batch_size": 1000}');
    PERFORM conveyor.add_job('history', 'late', 'examine_history.item', call => 'examine_history.take(int, int)');
    INSERT INTO conveyor.job_batch (id, slot, number, worker, finished_at, size, rows, rows_before, milliseconds)
    SELECT j.id, n, n, 0, now() - interval '1 h', 1000, 1000, 1000 * (n - 1), 10000 * n FROM generate_series(1, 100) AS n, conveyor.job_definition j WHERE j.migration = 'history';
    UPDATE conveyor.job_state s SET state = 'running', started_at = now(), fingerprint = conveyor.job_fingerprint(s.id), position = '{100000}', end_key = '{100100}', ranges = 100
      FROM conveyor.job_definition j WHERE j.id = s.id AND j.migration = 'history';
    UPDATE conveyor.migration_state SET state = 'running', started_at = now() WHERE migration = 'history';
END
$$;
CALL begin_late();
\set VERBOSITY terse
CALL conveyor.run_migration('history');
SELECT * FROM seen;
SELECT conveyor.drop_migration('history');
-- Another function: what the old one took says nothing of it.
CALL begin_late();
CREATE OR REPLACE FUNCTION take(first int, last int) RETURNS void LANGUAGE sql AS 'INSERT INTO examine_history.result SELECT id FROM examine_history.item WHERE id BETWEEN first AND last ORDER BY id';
UPDATE conveyor.migration_state SET state = 'paused' WHERE migration = 'history';
SELECT conveyor.resume_migration('history');
BEGIN;
SELECT conveyor.resume_migration('history', accept_changes => true);
SELECT count(*) FROM conveyor.job_batch b JOIN conveyor.job_definition j USING (id) WHERE j.migration = 'history';
UPDATE conveyor.migration_state SET state = 'paused' WHERE migration = 'history';
COMMIT;
UPDATE conveyor.migration_state SET state = 'running' WHERE migration = 'history';
CALL conveyor.run_migration('history');
SELECT * FROM seen;
SELECT conveyor.drop_migration('history');
DROP SCHEMA examine_history CASCADE;
