-- Progress: true, or NULL. Never over 100 percent, and no figure that is not known.
BEGIN;
\ir migration.psql
SELECT plan(33);
CREATE FUNCTION pg_temp.columns(name text) RETURNS text LANGUAGE sql AS
    $$ SELECT string_agg(attname, ' ' ORDER BY attnum) FROM pg_attribute WHERE attrelid = ('conveyor.' || name)::regclass AND attnum > 0 $$;
SELECT alike(pg_temp.columns(name), columns || '%', name || ' has the columns that were promised, in their order')
  FROM (VALUES ('migration_status', 'migration state owner jobs jobs_finished rows_done rows_total percent rows_per_second eta dead_rows throttle last_error started_at finished_at'),
               ('job_status', 'migration list job state source workers batch_size batches rows_done rows_total percent rows_per_second eta last_key retries dead_rows '
                              'throttle warning last_error started_at updated_at finished_at'),
               ('dead_row', 'migration job key sqlstate reason first_at')) AS v(name, columns);
-- A batch of `rows` rows that worker 0 finished `ago` seconds ago and that took `took` seconds.
CREATE FUNCTION pg_temp.batch(job text, number int, rows int, ago float8, took float8, failed boolean DEFAULT false) RETURNS void LANGUAGE sql AS $$
    INSERT INTO conveyor.job_batch (id, slot, number, worker, finished_at, size, rows, rows_before, milliseconds, failed)
    VALUES (pg_temp.id(job), number % 256, number, 0, clock_timestamp() - make_interval(secs => ago), rows, rows, 0, took * 1000, failed) $$;
CREATE FUNCTION pg_temp.job_begins(job text, total bigint) RETURNS void LANGUAGE sql AS $$
    UPDATE conveyor.job_state SET state = 'running', started_at = now(), rows_total = total WHERE id = pg_temp.id(job);
    INSERT INTO conveyor.job_worker (id, worker) VALUES (pg_temp.id(job), 0) $$;

SELECT is((state, jobs, rows_done, rows_total, percent), ('planned'::text, 0::bigint, 0::bigint, NULL::bigint, NULL::numeric), 'a migration without jobs has nothing to do')
  FROM conveyor.migration_status;
CREATE TABLE legacy.fresh (id int PRIMARY KEY, amount int);
INSERT INTO legacy.fresh SELECT generate_series(1, 300);
SELECT conveyor.add_job('split', 'one', 'legacy.orders', :'statement', list => 'a'), conveyor.add_job('split', 'two', 'legacy.fresh', :'statement', list => 'b') \g /dev/null
SELECT is((rows_total, percent), (1000::bigint, 0.0), 'before it begins, a job has what the planner knows') FROM conveyor.job_status WHERE job = 'one';
SELECT is((rows_total, percent, eta), (NULL::bigint, NULL::numeric, NULL::interval), 'of a table that was never analysed it knows nothing') FROM conveyor.job_status WHERE job = 'two';
SELECT conveyor.alter_job('split', 'one', '{"where": "amount > 5"}') \g /dev/null
SELECT is((rows_total, percent), (1000::bigint, 0.0), 'a condition is for rows that it goes through all the same') FROM conveyor.job_status WHERE job = 'one';

SELECT conveyor.start_migration('split') \g /dev/null
SELECT pg_temp.job_begins('one', 1000) \g /dev/null
UPDATE conveyor.job_worker SET rows_done = 10, batches = 1, last_key = '{10}';
SELECT pg_temp.batch('one', 1, 10, 0.0, 0.1) \g /dev/null
SELECT is((state, percent, rows_per_second, eta, last_key), ('running'::text, 1.0, NULL::real, NULL::interval, '10'::text), 'after one batch no rate is known')
  FROM conveyor.job_status WHERE job = 'one';
-- Ten seconds, 50 rows each.
SELECT pg_temp.batch('one', n, 50, 11 - n, 1) FROM generate_series(2, 11) AS n \g /dev/null
DELETE FROM conveyor.job_batch WHERE number = 1;
UPDATE conveyor.job_worker SET rows_done = 500, batches = 11, retries = 3, last_key = '{a,7}';
SELECT is((percent, round(rows_per_second), eta, batches, retries, last_key), (50.0, 50::float8, interval '10 s', 11::bigint, 3::bigint, '["a","7"]'::text),
    'after some the rate of the last minute, and the time left by it') FROM conveyor.job_status WHERE job = 'one';
SELECT is((percent, rows_done, eta), (NULL::numeric, 500::bigint, NULL::interval), 'what a list is not known to need leaves the migration open') FROM conveyor.migration_status;
SELECT pg_temp.batch('one', 12, 1000000, 0, 1, true) \g /dev/null
SELECT is(round(rows_per_second), 50::float8, 'a batch that failed has done nothing') FROM conveyor.job_status WHERE job = 'one';
UPDATE conveyor.job_batch SET finished_at = finished_at - interval '50 s' WHERE NOT failed;
SELECT ok(rows_per_second < 15 AND eta > interval '30 s', 'a job that stands still becomes slower') FROM conveyor.job_status WHERE job = 'one';
UPDATE conveyor.job_batch SET finished_at = finished_at - interval '20 s' WHERE NOT failed;
SELECT is((rows_per_second, eta), (NULL::real, NULL::interval), 'until after a minute nothing is known any more') FROM conveyor.job_status WHERE job = 'one';
DELETE FROM conveyor.job_batch;
SELECT pg_temp.batch('one', n, 1000, (4 - n) * 100, 100) FROM generate_series(1, 3) AS n \g /dev/null
SELECT is(round(rows_per_second), 10::float8, 'long batches have a longer memory') FROM conveyor.job_status WHERE job = 'one';

-- Both lists.
SELECT pg_temp.job_begins('two', 300) \g /dev/null
UPDATE conveyor.job_worker SET rows_done = 150 WHERE id = pg_temp.id('two');
SELECT pg_temp.batch('two', n, 100, 2 - n, 1) FROM generate_series(1, 2) AS n \g /dev/null
SELECT is((rows_done, rows_total, percent, eta), (650::bigint, 1300::bigint, 50.0, interval '50 s'), 'the slowest list decides when a migration is done') FROM conveyor.migration_status;
SELECT conveyor.pause_migration('split', 'lunch') \g /dev/null
SELECT is((state, throttle, rows_per_second, eta), ('paused'::text, 'paused: lunch'::text, NULL::real, NULL::interval), 'paused, it has no pace') FROM conveyor.migration_status;
SELECT is((state, throttle, rows_per_second, eta), ('paused'::text, 'paused: lunch'::text, NULL::real, NULL::interval), 'nor have its jobs') FROM conveyor.job_status WHERE job = 'one';
SELECT conveyor.resume_migration('split') \g /dev/null

-- Estimates that are passed.
UPDATE conveyor.job_worker SET rows_done = 1200 WHERE id = pg_temp.id('one');
SELECT is((rows_total, percent, eta), (1200::bigint, 99.9, NULL::interval), 'more than was thought: nearly done, no one knows when') FROM conveyor.job_status WHERE job = 'one';
SELECT is(percent, 90.0, 'and the sum as good as its parts') FROM conveyor.migration_status;
UPDATE conveyor.job_state SET exhausted = true WHERE id = pg_temp.id('one');
INSERT INTO conveyor.job_range (id, range, worker, last_key, rows, single) VALUES (pg_temp.id('one'), 1, 0, '{9}', 300, false), (pg_temp.id('one'), 2, 0, '{10}', 1, true);
SELECT is((rows_total, percent), (1500::bigint, 80.0), 'when all is claimed it is known what is left; dead rows were counted before') FROM conveyor.job_status WHERE job = 'one';
DELETE FROM conveyor.job_range;
SELECT is(percent, 99.9, 'nothing is done before it is finished') FROM conveyor.job_status WHERE job = 'one';
SELECT conveyor.job_enters(pg_temp.id('one'), 'finished') \g /dev/null
SELECT is((state, percent, rows_total, eta), ('finished'::text, 100.0, 1200::bigint, NULL::interval), 'then it is') FROM conveyor.job_status WHERE job = 'one';
SELECT is((jobs, jobs_finished), (2::bigint, 1::bigint), 'one of two') FROM conveyor.migration_status;

-- All copied, and followed: nothing of the copy is left.
SAVEPOINT followed;
UPDATE conveyor.job_state SET exhausted = true, cursor = conveyor.latest_snapshot(), state = 'following' WHERE id = pg_temp.id('two');
SELECT is((state, percent, eta), ('running'::text, 100.0, NULL::interval), 'when the last job has begun to follow, the copy is complete') FROM conveyor.migration_status;
SELECT conveyor.pause_migration('split') \g /dev/null
SELECT is((state, percent), ('paused'::text, 100.0), 'a pause takes nothing of it back') FROM conveyor.migration_status;
ROLLBACK TO followed;
SELECT is((state, percent), ('running'::text, 90.0), 'and before it is not') FROM conveyor.migration_status;

-- What is wrong shows.
INSERT INTO conveyor.dead_row_store (id, key, parts, sqlstate, reason) VALUES (pg_temp.id('two'), '7', '{7}', '23514', 'violates check constraint "positive"');
SELECT is((job, key, sqlstate, reason), ('two'::text, '7'::text, '23514'::text, 'violates check constraint "positive"'::text), 'a dead row with its error') FROM conveyor.dead_row;
SELECT is(dead_rows, 1::bigint, 'is counted') FROM conveyor.migration_status;
SELECT conveyor.note_throttle(pg_temp.id('two'), 'waits for a background worker: all 8 are in use') \g /dev/null
SELECT is(throttle, 'waits for a background worker: all 8 are in use', 'what holds a job holds the migration') FROM conveyor.migration_status;
SELECT is(detail, '1 of 2 jobs are finished, 1350 rows are done (90.0 %); 00:00:02 left at the present rate. Throttle: waits for a background worker: all 8 are in use.', 'and is said to who waits')
  FROM pg_temp.refusal($$SELECT conveyor.assert_finished('split')$$);
SELECT conveyor.job_enters(pg_temp.id('two'), 'failed', 'disk full') \g /dev/null
SELECT is((state, last_error, throttle), ('failed'::text, 'two: disk full'::text, NULL::text), 'an error as well') FROM conveyor.migration_status;
SELECT alike(hint, 'Run SELECT job, last_error %; when what it names is mended, SELECT conveyor.retry_migration(''split'').', 'with what to do')
  FROM pg_temp.refusal($$SELECT conveyor.assert_finished('split')$$);

-- The order of magnitude of a look does not change with what was done.
SELECT is((SELECT count(*) FROM conveyor.job_batch), 5::bigint, 'the history is bounded by its slots');

SELECT * FROM finish();
ROLLBACK;
