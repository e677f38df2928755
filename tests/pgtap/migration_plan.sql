-- Plans: the same definition again does nothing, another one is an error that shows the difference, and nothing is left half made.
BEGIN;
\ir migration.psql
SELECT plan(36);

SELECT lives_ok($$SELECT conveyor.create_migration('split')$$, 'the same migration again does nothing');
SELECT is((SELECT count(*) FROM conveyor.journal WHERE action = 'create migration' AND object = 'split'), 1::bigint, 'not even in the journal');
SELECT is(detail, 'options: {} now, {"rate": 5} asked for', 'with other options the difference is shown')
  FROM pg_temp.refusal($$SELECT conveyor.create_migration('split', '{"rate": 5}')$$);
SELECT is(hint, 'Run SELECT conveyor.alter_migration(''split'', …) to change its options, or choose another name.', 'and what to do')
  FROM pg_temp.refusal($$SELECT conveyor.create_migration('split', '{"rate": 5}')$$);
SELECT throws_ok($$SELECT conveyor.create_migration('')$$, '42602', 'name of a migration must not be empty', 'a migration has a name');
SELECT throws_ok($$SELECT conveyor.create_migration(repeat('é', 32))$$, '42622', NULL, 'of at most 63 bytes');

SELECT lives_ok(format('SELECT conveyor.add_job(%L, %L, %L, %L)', 'split', 'copy', 'legacy.orders', :'statement'), 'a job is added');
SELECT lives_ok(format('SELECT conveyor.add_job(%L, %L, %L, %L)', 'split', 'copy', 'legacy.orders', :'statement'), 'and added again, to no effect');
SELECT is((SELECT count(*) FROM conveyor.journal WHERE action = 'add job' AND object = 'split'), 1::bigint, 'not even in the journal');
SELECT is((list, source, key, key_types, workers, follow, search_path), ('main'::text, 'legacy.orders'::regclass, '{id}'::text[], '{bigint}'::regtype[], 1, false, 'public'::text),
    'its key is the primary key, its search path the caller''s') FROM conveyor.job_definition WHERE job = 'copy';
SELECT is(message, 'job "copy" exists with another definition', 'another definition is an error')
  FROM pg_temp.refusal(format('SELECT conveyor.add_job(%L, %L, %L, %L, workers => 2, list => %L)', 'split', 'copy', 'legacy.orders', :'statement', 'orders'));
SELECT is(detail, E'list: "main" now, "orders" asked for\nworkers: 1 now, 2 asked for', 'which shows each difference')
  FROM pg_temp.refusal(format('SELECT conveyor.add_job(%L, %L, %L, %L, workers => 2, list => %L)', 'split', 'copy', 'legacy.orders', :'statement', 'orders'));
SELECT alike(detail, 'statement: "INSERT%" now, "DELETE FROM orders USING batch%', 'the statement''s as well')
  FROM pg_temp.refusal($$SELECT conveyor.add_job('split', 'copy', 'legacy.orders', 'DELETE FROM orders USING batch WHERE orders.id = batch.id')$$);

-- What a job must be.
SELECT throws_ok(format('SELECT conveyor.add_job(%L, %L, %L, %s)', 'split', job, source, rest), state, message, what)
  FROM (VALUES ('a', 'legacy.orders', 'NULL', '22023', 'a job has either a statement or a call', 'neither a statement nor a call'),
               ('', 'legacy.orders', quote_literal('SELECT FROM batch'), '42602', 'name of a job must not be empty', 'a job without a name'),
               ('a', 'legacy.orders', quote_literal('SELECT FROM batch') || ', workers => 0', '22023', 'invalid number of workers: 0', 'no workers'),
               ('a', 'legacy.orders', quote_literal('SELECT FROM batch') || ', workers => 65', '22023', 'invalid number of workers: 65', 'too many workers'),
               ('a', 'legacy.orders', quote_literal('SELECT FROM batch') || ', follow => NULL', '22004', 'follow must be true or false', 'perhaps following'),
               ('a', 'legacy.orders', $$call => 'int4larger(int, int)', follow => true$$, '0A000', 'a job with a call cannot follow its source', 'following with a call'),
               ('a', 'legacy.orders', quote_literal('SELECT FROM batch') || $$, list => ''$$, '42602', 'name of a job list must not be empty', 'a list without a name'),
               ('a', 'legacy.orders', quote_literal('SELECT FROM batch') || $$, options => '{"wher": "true"}'$$, '42P02', 'job has no option "wher"', 'an unknown option'))
    AS c(job, source, rest, state, message, what);
SELECT throws_ok($$SELECT conveyor.add_job('split', 'a', NULL, 'SELECT FROM batch')$$, '22004', 'a job needs a source', 'a job without a source');
SELECT throws_ok($$SELECT conveyor.add_job('other', 'a', 'legacy.orders', 'SELECT FROM batch')$$, '42704', 'migration "other" does not exist', 'a job of no migration');
SELECT ok(NOT EXISTS (SELECT FROM conveyor.job_definition WHERE job = 'a'), 'what was refused is not there');

-- Options change while it runs; what it does may not.
SELECT lives_ok($$SELECT conveyor.alter_job('split', 'copy', '{"where": "amount > 0", "batch_size": 70}')$$, 'before it begins anything may change');
SELECT is(batch_size, 70, 'the size of the first batch at once') FROM conveyor.job_status WHERE job = 'copy';
SELECT is(conveyor.job_option(pg_temp.id('copy'), 'where'), 'amount > 0', 'the condition as well');
SELECT conveyor.start_migration('split') \g /dev/null
SELECT throws_ok(format('SELECT conveyor.add_job(%L, %L, %L, %L)', 'split', 'late', 'legacy.orders', :'statement'), '55000', 'migration "split" takes no further jobs: it is running',
    'a migration that runs takes no further jobs');
SELECT lives_ok(format('SELECT conveyor.add_job(%L, %L, %L, %L, options => %L)', 'split', 'copy', 'legacy.orders', :'statement', '{"where": "amount > 0", "batch_size": 70}'),
    'but those it has may be named again');
UPDATE conveyor.job_state SET fingerprint = conveyor.job_fingerprint(id), state = 'running', started_at = now();
SELECT throws_ok($$SELECT conveyor.alter_job('split', 'copy', '{"where": null}')$$, '55000', 'job "copy" has begun: what it does cannot be changed',
    'once batches have run, the condition stays');
SELECT lives_ok($$SELECT conveyor.alter_job('split', 'copy', '{"max_batch_size": 50, "rate": 9}')$$, 'sizes and rates may change');
SELECT is(batch_size, 50, 'and hold for the next batch') FROM conveyor.job_status WHERE job = 'copy';
SELECT throws_ok($$SELECT conveyor.alter_job('split', 'gone', '{}')$$, '42704', 'migration "split" has no job "gone"', 'a job that is not there cannot be altered');
SELECT throws_ok($$SELECT conveyor.drop_migration('split')$$, '55006', 'migration "split" is running', 'a migration that runs is not dropped');
SELECT conveyor.cancel_migration('split'), conveyor.drop_migration('split') \g /dev/null
SELECT is((SELECT count(*) FROM conveyor.job_state), 0::bigint, 'one that is cancelled goes, with all that hangs on it');
SELECT is((SELECT string_agg(action, ', ' ORDER BY at) FROM conveyor.journal WHERE object = 'split'),
    'create migration, add job, alter job, start migration, alter job, cancel migration, drop migration', 'the journal tells it all');

SELECT * FROM finish();
ROLLBACK;
