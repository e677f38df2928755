-- A migration whose batches are an accidental O(N²) says so in job_status.warning, or does not begin; one that is well says nothing.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS pg_conveyor;
CREATE SCHEMA examine_job;
SET search_path = examine_job, public;
CREATE TABLE item (id int PRIMARY KEY, article int NOT NULL);
INSERT INTO item SELECT g, g FROM generate_series(1, 10000) g;
CREATE TABLE result (id int PRIMARY KEY, price int);
ANALYZE item;

CREATE VIEW seen AS
SELECT job, state, regexp_replace(warning, 'reads \d+ rows', 'reads N rows') AS warning, regexp_replace(last_error, 'reads \d+ rows', 'reads N rows') AS last_error
  FROM conveyor.job_status WHERE migration LIKE 'examine%' ORDER BY migration, list, job;

-- The story's own case as a statement: the set-up of each session makes a temporary table, without an index. The job does not begin.
SELECT conveyor.create_migration('examine_statement');
SELECT conveyor.add_job('examine_statement', 'slow', 'item', options => '{"batch_size": 10000, "examine": "stop",
        "setup": "CREATE TEMP TABLE IF NOT EXISTS price AS SELECT g AS article, g * 2 AS price FROM generate_series(1, 10000) g"}',
    statement => 'INSERT INTO result SELECT id, (SELECT p.price FROM price p WHERE p.article = batch.article) FROM batch');
\set VERBOSITY terse
CALL conveyor.run_migration('examine_statement');
\set VERBOSITY default
SELECT state, warning, last_error FROM seen;
SELECT count(*) FROM result;
SELECT conveyor.drop_migration('examine_statement');
-- Or it begins, with a warning; the table is smaller here, since it runs to its end.
DROP TABLE pg_temp.price;
SELECT conveyor.create_migration('examine_warned');
SELECT conveyor.add_job('examine_warned', 'slow', 'item', options => '{"batch_size": 10000,
        "setup": "CREATE TEMP TABLE price AS SELECT g AS article, g * 2 AS price FROM generate_series(1, 2000) g"}',
    statement => 'INSERT INTO result SELECT id, (SELECT p.price FROM price p WHERE p.article = batch.article) FROM batch');
CALL conveyor.run_migration('examine_warned');
SELECT state, warning, last_error FROM seen;
SELECT count(*), sum(price) FROM result;
SELECT conveyor.drop_migration('examine_warned');
-- With the index, there is nothing to warn of.
TRUNCATE result;
SELECT conveyor.create_migration('examine_indexed');
SELECT conveyor.add_job('examine_indexed', 'fast', 'item', options => '{"batch_size": 10000, "examine": "stop",
        "setup": "CREATE INDEX ON pg_temp.price (article); ANALYZE price"}',
    statement => 'INSERT INTO result SELECT id, (SELECT p.price FROM price p WHERE p.article = batch.article) FROM batch');
CALL conveyor.run_migration('examine_indexed');
SELECT state, warning, last_error FROM seen;
SELECT count(*), sum(price) FROM result;
SELECT conveyor.drop_migration('examine_indexed');

-- The same as a function, which makes its table for each batch. The first batch runs into its timeout at its
-- last row, which sleeps: what it did until then is seen.
TRUNCATE result;
CREATE FUNCTION reprice(first int, last int) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    DROP TABLE IF EXISTS price;
    CREATE TEMP TABLE price AS SELECT g AS article, g * 2 AS price FROM generate_series(1, 2000) g;
    INSERT INTO result
    SELECT i.id, (SELECT p.price FROM price p WHERE p.article = i.article) FROM item i
     WHERE i.id BETWEEN first AND last AND (i.id < last OR last - first < 9999 OR pg_sleep(60) IS NOT NULL);
END
$$;
SELECT conveyor.create_migration('examine_call');
SELECT conveyor.add_job('examine_call', 'slow', 'item', call => 'reprice(int, int)', options => '{"batch_size": 10000, "statement_timeout": "3 s", "retry_delay": "1 ms"}');
CALL conveyor.run_migration('examine_call');
SELECT state, warning, last_error FROM seen;
SELECT retries > 0 AS timed_out FROM conveyor.job_status WHERE migration = 'examine_call';
SELECT count(*), sum(price) FROM result;
SELECT conveyor.drop_migration('examine_call');

-- A warning goes when what it warned of has gone: the same, with an index from row 5001 on. Every batch is looked at.
TRUNCATE result;
CREATE FUNCTION reprice_better(first int, last int) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    DROP TABLE IF EXISTS price;
    CREATE TEMP TABLE price AS SELECT g AS article, g * 2 AS price FROM generate_series(1, 2000) g;
    IF first > 5000 THEN
        CREATE INDEX ON price (article);
    END IF;
    INSERT INTO result
    SELECT i.id, (SELECT p.price FROM price p WHERE p.article = i.article) FROM item i WHERE i.id BETWEEN first AND last;
    INSERT INTO warned SELECT first, warning IS NOT NULL FROM conveyor.job_status WHERE migration = 'examine_cleared';
END
$$;
CREATE TABLE warned (first int, warned boolean);
SELECT conveyor.create_migration('examine_cleared');
SELECT conveyor.add_job('examine_cleared', 'slow', 'item', call => 'reprice_better(int, int)', options => '{"batch_size": 1000, "max_batch_size": 1000, "examine_every": 1}');
CALL conveyor.run_migration('examine_cleared');
SELECT state, warning FROM seen;
SELECT * FROM warned ORDER BY first;
SELECT conveyor.drop_migration('examine_cleared');

-- Nobody looks where the job says so.
TRUNCATE result;
SELECT conveyor.create_migration('examine_off');
SELECT conveyor.add_job('examine_off', 'slow', 'item', call => 'reprice(int, int)', options => '{"batch_size": 1000, "max_batch_size": 1000, "examine": "off"}');
CALL conveyor.run_migration('examine_off');
SELECT state, warning FROM seen;
SELECT conveyor.drop_migration('examine_off');

-- A plain copy is well.
TRUNCATE result;
SELECT conveyor.create_migration('examine_fine');
SELECT conveyor.add_job('examine_fine', 'copy', 'item', 'INSERT INTO result SELECT id, article FROM batch');
CALL conveyor.run_migration('examine_fine');
SELECT state, warning FROM seen;
SELECT conveyor.drop_migration('examine_fine');

RESET search_path;
SET client_min_messages = error;
DROP SCHEMA examine_job CASCADE;
