-- Options of migrations and jobs: validated, inherited, merged; in plain units for the runner.
BEGIN;
\ir migration.psql
SELECT plan(31);

SELECT throws_like(format('SELECT conveyor.create_migration(%L, %L)', 'm', options), message, format('%s is refused', options))
  FROM (VALUES ('{"batch_size": 0}', 'invalid value for option "batch_size": 0 is out of range'),
               ('{"target_duration": "1 h"}', '%out of range'),
               ('{"on_error": "ignore"}', 'invalid value for option "on_error": "ignore" is not dead_letter or stop'),
               ('{"examine": true}', '%true is not off or warn or stop'),
               ('{"where": "true"}', 'migration has no option "where"'),
               ('{"min_batch_size": 50, "max_batch_size": 20}', 'option "min_batch_size" is larger than "max_batch_size": 50 and 20'),
               ('{"throttles": {"lag": 1}}', 'there is no throttle "lag"'),
               ('{"throttles": {"replication_lag": 5}}', 'invalid value for option "throttles.replication_lag": 5 is not an interval%'),
               ('{"throttles": {"replication_lag_bytes": "many"}}', '%"many" is not a size%'),
               ('{"throttles": {"wal_archiving": -1}}', 'invalid value for option "throttles.wal_archiving": -1 is out of range'),
               ('{"throttles": {"dead_rows": true}}', '%true is not a number'),
               ('{"throttles": []}', '%is not an object'),
               ('{"run_windows": "22:00-06:00 UTC"}', '%is not an array of texts'),
               ('{"run_windows": ["22:00-06:00"]}', '%"22:00-06:00": it must be "[days ]HH:MM-HH:MM zone"'),
               ('{"run_windows": ["22:00-25:00 UTC"]}', '%it must be%'),
               ('{"run_windows": ["Son 22:00-23:00 UTC"]}', '%it must be%'),
               ('{"run_windows": ["Mon-Wed-Fri 22:00-23:00 UTC"]}', '%it must be%'),
               ('{"run_windows": ["22:00-22:00 UTC"]}', '%it opens when it closes'),
               ('{"run_windows": ["22:00-06:00 Europe/Bonn"]}', '%there is no time zone "Europe/Bonn"')) AS c(options, message);

-- Inheritance: the job's own, else the migration's, else the default.
SELECT conveyor.alter_migration('split', '{"rate": 100, "lock_timeout": "5 s", "throttles": {"checkpoint": false, "wal_archiving": 3}}') \g /dev/null
SELECT conveyor.add_job('split', 'copy', 'legacy.orders', :'statement', options => '{"rate": 7, "throttles": {"wal_archiving": 5}}') \g /dev/null
SELECT is((o ->> 'rate', o ->> 'lock_timeout', o ->> 'statement_timeout', o ->> 'on_error'), ('7'::text, '5000'::text, '60000'::text, 'dead_letter'::text),
    'a job''s options are its own, its migration''s, the defaults; in milliseconds') FROM conveyor.job_options(pg_temp.id('copy')) AS o;
SELECT is(o -> 'throttles', '{"checkpoint": false, "wal_archiving": 5}', 'limits of throttles are laid over each other one by one') FROM conveyor.job_options(pg_temp.id('copy')) AS o;
SELECT is(conveyor.job_option(pg_temp.id('copy'), name), value, 'and one by one they are the same: ' || name)
  FROM (VALUES ('rate', '7'), ('lock_timeout', '5000'), ('max_attempts', '10'), ('where', NULL)) AS c(name, value);
SELECT conveyor.alter_job('split', 'copy', '{"rate": null, "throttles": {"wal_archiving": null, "dead_rows": 2}}') \g /dev/null
SELECT is((options), '{"throttles": {"dead_rows": 2}}'::jsonb, 'null brings an option back, a single limit too') FROM conveyor.job_definition WHERE job = 'copy';
SELECT is(conveyor.job_option(pg_temp.id('copy'), 'rate'), '100', 'to what the migration says');
SELECT throws_ok($$SELECT conveyor.alter_migration('split', '{"max_batch_size": 9}')$$, '22023', NULL, 'sizes must agree after a change as well');
SELECT conveyor.alter_job('split', 'copy', '{"min_batch_size": 50}') \g /dev/null
SELECT throws_ok($$SELECT conveyor.alter_migration('split', '{"max_batch_size": 49}')$$, '22023', NULL, 'with each job''s own');
SELECT lives_ok($$SELECT conveyor.alter_migration('split', '{"max_batch_size": 60}')$$, 'else they change');
SELECT is(batch_size, 60, 'and reach the jobs') FROM conveyor.job_status WHERE job = 'copy';

SELECT * FROM finish();
ROLLBACK;
