-- Rights: a migration belongs to who made it, operators hold it back and let it go on, readers read; a run takes a session of the
-- owner's own.
BEGIN;
\ir migration.psql
SELECT plan(46);
CREATE ROLE alice LOGIN; CREATE ROLE bob LOGIN; CREATE ROLE oscar; CREATE ROLE rita; CREATE ROLE anna;
GRANT conveyor_operator TO alice, oscar, bob;
GRANT conveyor_reader TO rita;
GRANT alice TO anna;
GRANT conveyor_operator TO anna;
GRANT USAGE ON SCHEMA legacy TO alice;
GRANT SELECT ON legacy.orders TO alice;
GRANT ALL ON public.orders TO alice;

SET ROLE alice;
SELECT lives_ok($$SELECT conveyor.create_migration('hers')$$, 'who may use the functions makes migrations');
SELECT lives_ok(format('SELECT conveyor.add_job(%L, %L, %L, %L)', 'hers', 'copy', 'legacy.orders', :'statement'), 'and jobs for what she may read');
SELECT lives_ok($$SELECT conveyor.alter_job('hers', 'copy', '{"where": "amount > 0"}')$$, 'whose SQL she may change before they run');
SELECT throws_ok(format('SELECT conveyor.add_job(%L, %L, %L, %L)', 'split', 'copy', 'legacy.orders', :'statement'), '42501', 'must be owner of migration "split"', 'not in others'' migrations');
SELECT throws_ok($$SELECT conveyor.create_migration('split')$$, '42501', 'must be owner of migration "split"', 'whose definitions she is not shown');
SELECT throws_ok($$UPDATE conveyor.migration_state SET state = 'finished'$$, '42501', NULL, 'tables are nobody''s');
SELECT throws_ok($$SELECT conveyor.job_enters(1, 'finished')$$, '42501', NULL, 'nor are states');
SELECT lives_ok($$SELECT conveyor.start_migration('hers')$$, 'she starts hers');
RESET ROLE;
SELECT is(owner, 'alice'::regrole, 'it is hers') FROM conveyor.migration_definition WHERE migration = 'hers';
SELECT is(actor, 'alice', 'the journal knows') FROM conveyor.journal WHERE action = 'start migration';

-- An operator: back and forth, but not what is run.
SET ROLE oscar;
SELECT lives_ok(statement, 'an operator: ' || statement)
  FROM (VALUES ($$SELECT conveyor.pause_migration('hers', 'peak hours')$$), ($$SELECT conveyor.resume_migration('hers')$$), ($$SELECT conveyor.retry_migration('hers')$$),
               ($$SELECT conveyor.alter_migration('hers', '{"rate": 10, "run_windows": ["22:00-06:00 UTC"], "throttles": {"dead_rows": 1}}')$$),
               ($$SELECT conveyor.alter_job('hers', 'copy', '{"batch_size": 10}')$$), ($$SELECT conveyor.tick()$$)) AS c(statement);
SELECT throws_ok(statement, '42501', 'must be owner of migration "hers"', 'not an operator''s: ' || statement)
  FROM (VALUES ($$SELECT conveyor.alter_migration('hers', '{"rate": 10, "throttle_query": "SELECT 1"}')$$), ($$SELECT conveyor.alter_migration('hers', '{"setup": "SELECT 1"}')$$),
               ($$SELECT conveyor.alter_job('hers', 'copy', '{"where": "true"}')$$), ($$SELECT conveyor.alter_job('hers', 'copy', '{"on_error": "stop"}')$$),
               ($$SELECT conveyor.cancel_migration('hers')$$), ($$SELECT conveyor.drop_migration('hers')$$), ($$SELECT conveyor.start_migration('hers')$$)) AS c(statement);
SELECT throws_ok($$SELECT conveyor.job_throttle(j.id) FROM conveyor.job_definition j WHERE j.migration = 'hers'$$, '42501', 'must be owner of migration "hers"',
    'what runners call is the owner''s');
SELECT throws_ok($$SELECT conveyor.note_throttle(j.id, 'x') FROM conveyor.job_definition j WHERE j.migration = 'hers'$$, '42501', 'must be owner of migration "hers"', 'all of it');
RESET ROLE;
UPDATE conveyor.job_state SET fingerprint = 'other', state = 'running', started_at = now();
SELECT conveyor.pause_migration('hers') \g /dev/null
SET ROLE oscar;
SELECT throws_ok($$SELECT conveyor.resume_migration('hers', accept_changes => true)$$, '42501', 'must be owner of migration "hers"', 'nor may an operator accept another definition');
SET ROLE rita;
SELECT lives_ok(format('SELECT * FROM conveyor.%I', name), 'a reader reads ' || name)
  FROM unnest('{migration_status,job_status,dead_row,migration_definition,job_definition,migration_transition,throttle_kind}'::text[]) AS name;
SELECT throws_ok($$SELECT conveyor.assert_finished('hers')$$, '55000', 'migration "hers" is not finished: it is paused', 'and may ask whether it is finished');
SELECT throws_ok($$SELECT conveyor.pause_migration('hers')$$, '42501', NULL, 'no more');
RESET ROLE;

-- A run is in a session of the owner's. SET ROLE is not enough: the job's SQL could reset it.
SELECT is(message, 'migration "hers" runs only in a session of its owner', 'not a superuser''s') FROM pg_temp.refusal($$SELECT conveyor.check_runnable('hers')$$);
SET ROLE alice;
SELECT is(hint, 'Connect as alice, or let background workers do it: SELECT conveyor.start_migration(''hers'').', 'nor one that has set its role')
  FROM pg_temp.refusal($$SELECT conveyor.check_runnable('hers')$$);
RESET ROLE;
SET SESSION AUTHORIZATION anna;
SELECT throws_ok($$SELECT conveyor.check_runnable('hers')$$, '42501', 'migration "hers" runs only in a session of its owner', 'nor a member''s');
SET SESSION AUTHORIZATION alice;
SELECT throws_ok($$SELECT conveyor.check_runnable('hers')$$, '55000', 'migration "hers" is not running: it is paused', 'the owner''s, while it runs');
SELECT is(message, 'job "copy" of migration "hers" is not what its batches have run by', 'and while the definitions are the same') FROM pg_temp.refusal($$SELECT conveyor.resume_migration('hers')$$);
SELECT lives_ok($$SELECT conveyor.resume_migration('hers', accept_changes => true)$$, 'unless the owner says that they may differ');
SELECT lives_ok($$SELECT conveyor.check_runnable('hers')$$, 'then it runs');
RESET SESSION AUTHORIZATION;

-- What a worker's login takes is looked at before one is started.
SELECT conveyor.pause_migration('hers') \g /dev/null
CREATE FUNCTION pg_temp.refused_after(change text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    said text;
BEGIN
    EXECUTE change;
    SELECT concat_ws(' | ', r.message, r.hint) INTO said FROM pg_temp.refusal($q$SELECT conveyor.resume_migration('hers')$q$) AS r;
    RAISE EXCEPTION 'undo' USING ERRCODE = 'ZZ001';
EXCEPTION WHEN SQLSTATE 'ZZ001' THEN
    RETURN said;
END $$;
SELECT is(pg_temp.refused_after('ALTER ROLE alice NOLOGIN'),
    CASE WHEN current_setting('server_version_num')::int < 170000 THEN 'role "alice", which owns migration "hers", may not log in | Run ALTER ROLE alice LOGIN; it needs no password for that.' ELSE '' END,
    'an owner who may not log in, before PostgreSQL 17');
SELECT is(pg_temp.refused_after(format('REVOKE CONNECT ON DATABASE %I FROM PUBLIC', current_database())),
    format('role "alice", which owns migration "hers", may not connect to database "%1$s" | Run GRANT CONNECT ON DATABASE %1$I TO alice.', current_database()), 'or not connect');
SELECT is(pg_temp.refused_after('ALTER ROLE alice CONNECTION LIMIT 0'),
    'role "alice", which owns migration "hers", may not connect: its limit is 0 connections | Run ALTER ROLE alice CONNECTION LIMIT -1.', 'or has no connections');
SELECT is(pg_temp.refused_after('REVOKE conveyor_operator FROM alice'),
    'role "alice", which owns migration "hers", may not use schema conveyor | Run GRANT conveyor_operator TO alice.', 'or has lost the right to these functions');

SELECT * FROM finish();
ROLLBACK;
