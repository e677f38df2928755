-- States: what the table of transitions has is possible, nothing else; and what start, pause, resume, cancel and retry do to them.
BEGIN;
\ir migration.psql
SELECT plan(51);
SELECT conveyor.add_job('split', job, 'legacy.orders', :'statement', list => list)
  FROM (VALUES (1, 'one', 'a'), (2, 'two', 'a'), (3, 'three', 'b')) AS j(n, job, list) ORDER BY n \g /dev/null
CREATE FUNCTION pg_temp.state() RETURNS text LANGUAGE sql AS $$
    SELECT m.state || ': ' || (SELECT string_agg(s.state, ' ' ORDER BY s.id) FROM conveyor.job_state s) FROM conveyor.migration_state m WHERE migration = 'split' $$;

-- The table is the law, whoever writes. Rows get from one state to every other one, but for those that it has.
CREATE FUNCTION pg_temp.crossings(object text) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
    states CONSTANT text[] := CASE object WHEN 'migration' THEN '{planned,running,paused,finishing,finished,failed,cancelled}'::text[]
                                          ELSE '{planned,running,following,finished,failed,cancelled}' END;
    a text;
    b text;
BEGIN
    FOREACH a IN ARRAY states LOOP
        FOREACH b IN ARRAY states LOOP
            CONTINUE WHEN a = b;
            BEGIN
                IF object = 'migration' THEN
                    ALTER TABLE conveyor.migration_state DISABLE TRIGGER check_transition;
                    UPDATE conveyor.migration_state SET state = a, started_at = now(), finished_at = CASE WHEN a IN ('finished', 'cancelled') THEN now() END;
                    ALTER TABLE conveyor.migration_state ENABLE TRIGGER check_transition;
                    PERFORM conveyor.migration_enters('split', b);
                ELSE
                    ALTER TABLE conveyor.job_state DISABLE TRIGGER check_transition;
                    UPDATE conveyor.job_state SET state = a, started_at = now(), exhausted = true, finished_at = CASE WHEN a IN ('finished', 'cancelled') THEN now() END,
                           cursor = CASE WHEN a NOT IN ('finished', 'cancelled') THEN pg_current_snapshot() END
                     WHERE id = pg_temp.id('one');
                    ALTER TABLE conveyor.job_state ENABLE TRIGGER check_transition;
                    PERFORM conveyor.job_enters(pg_temp.id('one'), b);
                END IF;
                RETURN NEXT a || ' ' || b;
                RAISE EXCEPTION 'undo' USING ERRCODE = 'ZZ001';
            EXCEPTION WHEN object_not_in_prerequisite_state OR SQLSTATE 'ZZ001' THEN
                NULL;
            END;
        END LOOP;
    END LOOP;
END $$;
SELECT set_eq(format('SELECT pg_temp.crossings(%L)', object), format('SELECT from_state || %L || to_state FROM conveyor.migration_transition WHERE object = %L', ' ', object),
    format('a %s gets from one state to another as the table says', object)) FROM unnest('{migration,job}'::text[]) AS object;
SELECT throws_ok($$UPDATE conveyor.migration_state SET state = 'finished', started_at = now(), finished_at = now()$$, '55000', 'a migration that is planned cannot become finished',
    'not by hand either');
SELECT throws_ok(format('UPDATE conveyor.%I SET %s', relation, change), '23514', NULL, format('%s: %s', relation, change))
  FROM (VALUES ('migration_state', 'finished_at = now()'), ('migration_state', $$paused_reason = 'x'$$), ('migration_state', $$state = 'running'$$),
               ('job_state', 'finished_at = now()'), ('job_state', $$state = 'running'$$), ('job_state', 'batch_size = 0')) AS c(relation, change);

-- Planned.
SELECT is(pg_temp.state(), 'planned: planned planned planned', 'at first all is planned');
SELECT throws_ok(format('SELECT conveyor.%s(%L)', verb, 'split'), '55000', message, message)
  FROM (VALUES ('pause_migration', 'cannot pause migration "split": it is planned'), ('resume_migration', 'cannot resume migration "split": it is planned'),
               ('retry_migration', 'cannot retry migration "split": it is planned')) AS c(verb, message);
SELECT is(hint, 'Run SELECT conveyor.start_migration(''split'').', 'the hint has the command to run') FROM pg_temp.refusal($$SELECT conveyor.pause_migration('split')$$);
SELECT conveyor.create_migration('empty') \g /dev/null
SELECT throws_ok($$SELECT conveyor.start_migration('empty')$$, '55000', 'migration "empty" has no jobs', 'one without jobs cannot be started');
SELECT conveyor.drop_migration('empty') \g /dev/null
SELECT throws_ok(format('SELECT conveyor.%s(%L)', verb, 'gone'), '42704', 'migration "gone" does not exist', verb || ' of one that is not there')
  FROM unnest('{start_migration,pause_migration,resume_migration,cancel_migration,retry_migration,drop_migration,assert_finished}'::text[]) AS verb;

-- Start, pause, resume.
SAVEPOINT before_start;
SELECT conveyor.start_migration('split') \g /dev/null
SELECT is(pg_temp.state(), 'running: planned planned planned', 'started: jobs are for the runners to begin');
SELECT lives_ok($$SELECT conveyor.start_migration('split')$$, 'started again, nothing happens');
SELECT is((SELECT count(*) FROM conveyor.journal WHERE action = 'start migration'), 1::bigint, 'not even in the journal');
SELECT conveyor.pause_migration('split', 'lunch') \g /dev/null
SELECT is((state, throttle), ('paused'::text, 'paused: lunch'::text), 'paused, and why') FROM conveyor.migration_status WHERE migration = 'split';
SELECT conveyor.pause_migration('split', 'dinner') \g /dev/null
SELECT is(throttle, 'paused: dinner', 'the reason may change') FROM conveyor.migration_status WHERE migration = 'split';
SELECT is(hint, 'Run SELECT conveyor.resume_migration(''split'').', 'a paused one is not started but resumed') FROM pg_temp.refusal($$SELECT conveyor.start_migration('split')$$);
SELECT conveyor.resume_migration('split') \g /dev/null
SELECT is((state, throttle), ('running'::text, 'no worker runs it: SELECT conveyor.tick() starts one'::text), 'resumed') FROM conveyor.migration_status WHERE migration = 'split';
ROLLBACK TO before_start;
SELECT is(pg_temp.state(), 'planned: planned planned planned', 'a rollback takes all of it back');

-- What runners do: a list goes on with its next job; the last one ends the migration.
SELECT conveyor.start_migration('split') \g /dev/null
SELECT set_eq($$SELECT h.list || ' ' || h.job FROM conveyor.list_heads('split') AS h$$, ARRAY['a ' || pg_temp.id('one'), 'b ' || pg_temp.id('three')], 'each list begins with its first job');
SELECT conveyor.job_enters(pg_temp.id(job), 'running') FROM unnest('{one,three}'::text[]) AS job \g /dev/null
UPDATE conveyor.job_state SET exhausted = true;
SAVEPOINT under_way;
SELECT conveyor.job_enters(pg_temp.id(job), 'finished') FROM unnest('{one,three}'::text[]) AS job \g /dev/null
SELECT is(pg_temp.state(), 'running: finished planned finished', 'while a job is to come the migration runs');
SELECT conveyor.job_enters(pg_temp.id('two'), 'running') \g /dev/null
SELECT conveyor.pause_migration('split') \g /dev/null
SELECT conveyor.job_enters(pg_temp.id('two'), 'finished') \g /dev/null
SELECT is(pg_temp.state(), 'paused: finished finished finished', 'the last batch of a paused migration may be its last');
SELECT conveyor.resume_migration('split') \g /dev/null
SELECT is(pg_temp.state(), 'finished: finished finished finished', 'then it is finished when it is resumed');
SELECT lives_ok($$SELECT conveyor.assert_finished('split')$$, 'and may be asserted to be');
SELECT throws_ok($$SELECT conveyor.cancel_migration('split')$$, '55000', 'cannot cancel migration "split": it is finished', 'what is finished is not cancelled');
INSERT INTO conveyor.dead_row_store (id, key, parts, sqlstate, reason) VALUES (pg_temp.id('two'), '7', '{7}', '23514', 'no');
SELECT throws_ok($$SELECT conveyor.assert_finished('split')$$, '55000', 'migration "split" is finished, but for 1 dead rows', 'dead rows are not finished');
SELECT lives_ok($$SELECT conveyor.assert_finished('split', dead_rows => 1)$$, 'unless someone says that they may be left out');
SELECT conveyor.retry_migration('split') \g /dev/null
SELECT is(pg_temp.state(), 'running: finished running finished', 'retried, its job runs again');
SELECT conveyor.retry_migration('split') \g /dev/null
SELECT is(array_agg((range, single, last_key)::text), ARRAY['(1,t,{7})'], 'for that one row, once however often it is asked for') FROM conveyor.job_range;
SELECT is(dead_rows, 1::bigint, 'which stays dead until it has succeeded') FROM conveyor.job_status WHERE job = 'two';

-- Failures.
ROLLBACK TO under_way;
SELECT conveyor.job_enters(pg_temp.id('one'), 'failed', 'relation "x" does not exist') \g /dev/null
SELECT is(pg_temp.state(), 'running: failed planned running', 'a failed job holds its list only');
SELECT is(last_error, 'one: relation "x" does not exist', 'the migration names it') FROM conveyor.migration_status;
SELECT conveyor.job_enters(pg_temp.id('three'), 'finished') \g /dev/null
SELECT is(pg_temp.state(), 'failed: failed planned finished', 'when no other list can go on the migration has failed');
SELECT throws_ok($$SELECT conveyor.resume_migration('split')$$, '55000', 'cannot resume migration "split": it is failed', 'it is not resumed but retried');
INSERT INTO conveyor.job_range (id, range, worker, last_key, rows, attempts, not_before) VALUES (pg_temp.id('one'), 1, 0, '{9}', 9, 5, now() + interval '1 h');
SELECT conveyor.retry_migration('split') \g /dev/null
SELECT is(pg_temp.state(), 'running: running planned finished', 'retried, it goes on where it stopped');
SELECT is((attempts, not_before), (0, NULL::timestamptz), 'at once') FROM conveyor.job_range;
SELECT is(last_error, NULL, 'and the error is forgotten') FROM conveyor.migration_status;

-- The end.
SELECT conveyor.cancel_migration('split') \g /dev/null
SELECT is(pg_temp.state(), 'cancelled: cancelled cancelled finished', 'cancelled, but for what was finished');
SELECT lives_ok($$SELECT conveyor.cancel_migration('split')$$, 'which may be said again');
SELECT throws_ok($$SELECT conveyor.start_migration('split')$$, '55000', 'cannot start migration "split": it is cancelled', 'and is for good');

SELECT * FROM finish();
ROLLBACK;
