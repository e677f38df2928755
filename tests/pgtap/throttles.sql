-- Throttles: what holds a job says "signal observed > limit"; what cannot be read holds as well. Standbys, the archiver and autovacuum are
-- for tests/system/test_migration_throttles.py.
BEGIN;
\ir migration.psql
SELECT plan(30);
SELECT conveyor.add_job('split', 'copy', 'legacy.orders', :'statement') \g /dev/null
SELECT pg_temp.id('copy') AS job \gset
CREATE FUNCTION pg_temp.held(options jsonb) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    PERFORM conveyor.alter_job('split', 'copy', options);
    RETURN conveyor.job_throttle(pg_temp.id('copy'));
END $$;

SELECT is(conveyor.job_throttle(:job), NULL, 'a job on a quiet server is not held');
SELECT alike(pg_temp.held('{"throttles": {"checkpoint": 0}}'), 'checkpoint: % of WAL since the last one, % \% of max_wal_size > 0 \%', 'the signal with its limit');
SELECT conveyor.start_migration('split') \g /dev/null
SELECT is(throttle, 'no worker runs it: SELECT conveyor.tick() starts one', 'before anything else the status says that nobody runs it') FROM conveyor.job_status;
UPDATE conveyor.job_state SET state = 'running', started_at = now(), exhausted = true, cursor = pg_current_snapshot();
SELECT conveyor.job_enters(:job, 'following') \g /dev/null
SELECT conveyor.job_throttle(:job) \g /dev/null
SELECT alike(throttle, 'checkpoint: %', 'what holds it stands there as well') FROM conveyor.job_status;
SELECT is(pg_temp.held('{"throttles": {"checkpoint": false}}'), NULL, 'unless nobody wants to know');
SELECT is(throttle, 'no worker follows its source: SELECT conveyor.tick() starts one', 'which is there no longer then') FROM conveyor.job_status;
SELECT conveyor.alter_migration('split', '{"throttles": {"checkpoint": 0}}') \g /dev/null
SELECT is(pg_temp.held('{}'), NULL, 'the job''s own limit comes before the migration''s');
SELECT alike(pg_temp.held('{"throttles": {"checkpoint": null}}'), 'checkpoint: %', 'which comes before the default');

-- One that fails.
CREATE FUNCTION public.broken(job int, ceiling numeric) RETURNS text LANGUAGE sql AS $$ SELECT (1 / (ceiling * 0))::text $$;
UPDATE conveyor.throttle_kind SET collector = 'public.broken(int, numeric)' WHERE name = 'checkpoint';
SELECT is(conveyor.job_throttle(:job), 'checkpoint: could not be read: division by zero', 'a signal that cannot be read holds');
SELECT conveyor.alter_migration('split', '{"throttles": {"checkpoint": false}}') \g /dev/null
SELECT is(conveyor.job_throttle(:job), NULL, 'only where it is wanted');
SELECT is((SELECT string_agg(name, ' ' ORDER BY name) FROM conveyor.throttle_kind k WHERE conveyor.throttle_ceiling(k, '{}') IS NOT NULL),
    'checkpoint dead_rows lock_waiters replication_lag replication_lag_bytes wal_archiving', 'these are looked at when nothing is said');
SELECT is(conveyor.throttle_ceiling(k, '{"replication_lag": "2 min"}'), 120000.0, 'limits reach the collectors in plain units') FROM conveyor.throttle_kind k WHERE name = 'replication_lag';
SELECT throws_ok($$SELECT conveyor.alter_job('split', 'copy', '{"throttles": {"checkpoint": "much"}}')$$, '22023', 'invalid value for option "throttles.checkpoint": "much" is not a whole number',
    'and are checked before');

-- A query of one's own.
CREATE TABLE public.brake (reason text);
SELECT is(pg_temp.held('{"throttle_query": "SELECT reason FROM brake"}'), NULL, 'a query without rows lets go on; it finds what the job finds');
INSERT INTO public.brake VALUES (NULL);
SELECT is(conveyor.job_throttle(:job), NULL, 'NULL as well');
UPDATE public.brake SET reason = 'peak hours';
SELECT is(conveyor.job_throttle(:job), 'throttle_query: peak hours', 'a text holds, with its reason');
SELECT alike(pg_temp.held('{"throttle_query": "SELECT reason FROM brakes"}'), 'throttle_query: could not be read: relation "brakes" does not exist', 'a query that fails holds');
SELECT is(current_setting('search_path'), 'public', 'whatever it did, the session''s search path is its own');
SELECT alike(pg_temp.held('{"throttle_query": "SELECT ''a''", "throttles": {"replication_lag_bytes": 0, "checkpoint": 0}}'), 'checkpoint: could not be read%; throttle_query: a',
    'several reasons are all told');
CREATE ROLE alice;
GRANT conveyor_operator TO alice;
UPDATE conveyor.migration_definition SET owner = 'alice';
SELECT conveyor.alter_job('split', 'copy', '{"throttles": null, "throttle_query": "SELECT reason FROM public.brake"}') \g /dev/null
SET ROLE alice;
SELECT is(conveyor.job_throttle(:job), 'throttle_query: could not be read: permission denied for table brake', 'the query has its owner''s rights, the signals are read for everyone');
RESET ROLE;
SELECT conveyor.alter_job('split', 'copy', '{"throttle_query": null}') \g /dev/null

-- Who waited behind a batch.
INSERT INTO conveyor.job_worker (id, worker, waiters, waiters_at) VALUES (:job, 0, 2, clock_timestamp() + interval '1 h');
SELECT is(conveyor.job_throttle(:job), 'lock_waiters: 2 sessions blocked > 0', 'sessions that waited for a batch hold the next one');
SELECT is(pg_temp.held('{"throttles": {"lock_waiters": 2}}'), NULL, 'not as many as are allowed');
SELECT conveyor.alter_job('split', 'copy', '{"throttles": null}') \g /dev/null
UPDATE conveyor.job_worker SET waiters_at = clock_timestamp() - interval '1 s';
SELECT is(conveyor.job_throttle(:job), NULL, 'nor for longer than a second');
SELECT conveyor.note_waiters(:job, 0) \g /dev/null
SELECT is((waiters, waiters_at > now()), (0, true), 'looked at again, there are none') FROM conveyor.job_worker;

-- The rate: n rows make the job free n / rate later.
SELECT is(conveyor.rate_free_at(now(), NULL, 100, 50) - now(), interval '0.5 s', 'a batch is paid for in time');
SELECT is(conveyor.rate_free_at(now(), now() + interval '1 s', 100, 50) - now(), interval '1.5 s', 'behind those before');
SELECT is(conveyor.rate_free_at(now(), now() - interval '1 h', 100, 200) - now(), interval '1 s', 'what was not used is not saved up, but for a second');
SELECT is(conveyor.rate_free_at(now(), now(), 0, 50), NULL, 'without a rate all is free');

SELECT is(conveyor.job_held(:job, 'finishing', NULL, 'running', 'checkpoint: x', now() + interval '1 h'), 'checkpoint: x; rate: 0 rows/s', 'while the job is paid for, the rate holds it');
SELECT is(conveyor.job_held(:job, 'running', NULL, 'running', 'waits for a background worker: y', NULL), 'waits for a background worker: y', 'what was noted when no worker could be begun is shown');

SELECT * FROM finish();
ROLLBACK;
