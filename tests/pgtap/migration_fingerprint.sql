-- What batches have run by must not change under a job: it refuses to go on, and says what to do.
BEGIN;
\ir migration.psql
SELECT plan(17);
CREATE FUNCTION legacy.move(first bigint, last bigint) RETURNS void LANGUAGE sql AS $$ INSERT INTO public.orders SELECT id, amount FROM legacy.orders WHERE id BETWEEN first AND last $$;
SELECT conveyor.add_job('split', 'copy', 'legacy.orders', :'statement', list => 'a'),
       conveyor.add_job('split', 'move', 'legacy.orders', call => 'legacy.move(bigint, bigint)', list => 'b') \g /dev/null
SELECT conveyor.start_migration('split') \g /dev/null
CREATE FUNCTION pg_temp.begins() RETURNS void LANGUAGE sql AS $$
    UPDATE conveyor.job_state SET state = 'running', started_at = now(), fingerprint = conveyor.job_fingerprint(id) $$;

-- Has the fingerprint of a job changed by this?
CREATE FUNCTION pg_temp.changes(job text, statement text) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    before text := conveyor.job_fingerprint(pg_temp.id(job));
    differs boolean;
BEGIN
    EXECUTE statement;
    differs := before <> conveyor.job_fingerprint(pg_temp.id(job));
    RAISE EXCEPTION 'undo' USING ERRCODE = 'ZZ001';
EXCEPTION WHEN SQLSTATE 'ZZ001' THEN
    RETURN differs;
END $$;
SELECT is(pg_temp.changes(job, statement), expected, format('%s: %s', job, statement))
  FROM (VALUES ('move', $$CREATE OR REPLACE FUNCTION legacy.move(first bigint, last bigint) RETURNS void LANGUAGE sql AS 'SELECT'$$, true),
               ('move', 'ALTER FUNCTION legacy.move(bigint, bigint) SET work_mem = 65536', true),
               ('move', 'DROP FUNCTION legacy.move(bigint, bigint)', true),
               ('copy', $$CREATE OR REPLACE FUNCTION legacy.move(first bigint, last bigint) RETURNS void LANGUAGE sql AS 'SELECT'$$, false),
               ('copy', 'ALTER TABLE legacy.orders ALTER id TYPE numeric', true),
               ('copy', 'ALTER TABLE legacy.orders RENAME id TO number', true),
               ('copy', 'ALTER TABLE legacy.orders ALTER amount TYPE numeric', false),
               ('copy', 'ALTER TABLE legacy.orders RENAME TO old_orders', false),
               ('copy', $$SELECT conveyor.alter_job('split', 'copy', '{"where": "amount > 1"}')$$, true),
               ('copy', $$SELECT conveyor.alter_job('split', 'copy', '{"rate": 1, "batch_size": 2}')$$, false)) AS c(job, statement, expected);

CREATE OR REPLACE FUNCTION legacy.move(first bigint, last bigint) RETURNS void LANGUAGE sql AS $$ SELECT $$;
SELECT lives_ok($$SELECT conveyor.check_fingerprints('split')$$, 'before a job has begun it may be anything');
SELECT pg_temp.begins() \g /dev/null
SELECT lives_ok($$SELECT conveyor.check_fingerprints('split')$$, 'unchanged it goes on');
CREATE OR REPLACE FUNCTION legacy.move(first bigint, last bigint) RETURNS void LANGUAGE sql AS $$ SELECT 1 $$;
SELECT conveyor.pause_migration('split') \g /dev/null
SELECT is((message, detail), ('job "move" of migration "split" is not what its batches have run by'::text,
                              'The function legacy.move(bigint,bigint), or the type of a key column of legacy.orders, was changed since.'::text), 'changed it does not')
  FROM pg_temp.refusal($$SELECT conveyor.resume_migration('split')$$);
SELECT alike(hint, '%conveyor.resume_migration(''split'', accept_changes => true)%conveyor.drop_migration(''split'')%', 'and says what to do')
  FROM pg_temp.refusal($$SELECT conveyor.resume_migration('split')$$);
SELECT conveyor.resume_migration('split', accept_changes => true) \g /dev/null
SELECT is((SELECT state FROM conveyor.migration_status), 'running', 'unless someone says that it may');
SELECT is(actor || ': ' || detail, current_user || ': move', 'whom the journal names') FROM conveyor.journal WHERE action = 'accept changes';
SELECT conveyor.job_enters(pg_temp.id('move'), 'failed', 'x') \g /dev/null
CREATE OR REPLACE FUNCTION legacy.move(first bigint, last bigint) RETURNS void LANGUAGE sql AS $$ SELECT 2 $$;
SELECT throws_ok($$SELECT conveyor.retry_migration('split')$$, '55000', 'job "move" of migration "split" is not what its batches have run by', 'a failed one is not retried either');

SELECT * FROM finish();
ROLLBACK;
