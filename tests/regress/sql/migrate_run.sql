-- run_migration() and run_batch(): who may, when, and what they leave.
SET client_min_messages = error;
CREATE EXTENSION IF NOT EXISTS pg_conveyor;
CREATE ROLE regress_migrate_run LOGIN;
GRANT conveyor_operator TO regress_migrate_run;
CREATE ROLE regress_migrate_other LOGIN;
GRANT conveyor_operator, regress_migrate_run TO regress_migrate_other;
CREATE SCHEMA migrate_run AUTHORIZATION regress_migrate_run;
SET client_min_messages = notice;
\t on
\set SHOW_CONTEXT never
\a

SET SESSION AUTHORIZATION regress_migrate_run;
SET search_path = migrate_run;
CREATE TABLE source (id int PRIMARY KEY);
INSERT INTO source SELECT g FROM generate_series(1, 100) g;
CREATE TABLE target (id int PRIMARY KEY, who name DEFAULT current_user);
SELECT conveyor.create_migration('migrate_run', '{"batch_size": 40, "min_batch_size": 40, "max_batch_size": 40}');
CALL conveyor.run_migration('migrate_run');
CALL conveyor.run_migration('nothing');
CALL conveyor.run_migration(NULL);
SELECT conveyor.add_job('migrate_run', 'copy', 'source', 'INSERT INTO target SELECT id FROM batch', list => 'one');
SELECT conveyor.add_job('migrate_run', 'look', 'source', 'SELECT FROM batch', list => 'two');

-- each batch commits, so it is no part of a transaction
BEGIN;
CALL conveyor.run_migration('migrate_run');
ROLLBACK;
SELECT state FROM conveyor.migration_status WHERE migration = 'migrate_run';

-- only its owner: not a member, not in another role, not a superuser
RESET SESSION AUTHORIZATION;
CALL conveyor.run_migration('migrate_run');
SET ROLE regress_migrate_run;
CALL conveyor.run_migration('migrate_run');
RESET ROLE;
SET SESSION AUTHORIZATION regress_migrate_other;
CALL conveyor.run_migration('migrate_run');
SELECT conveyor.run_batch(id) FROM conveyor.job_definition WHERE migration = 'migrate_run' AND job = 'copy';
RESET SESSION AUTHORIZATION;
SET SESSION AUTHORIZATION regress_migrate_run;
SET ROLE conveyor_operator;
CALL conveyor.run_migration('migrate_run');
RESET ROLE;

-- in batches, then not again
SET search_path = public;
SET client_min_messages = warning;
CALL conveyor.run_migration('migrate_run');
SET client_min_messages = notice;
CALL conveyor.run_migration('migrate_run');
SELECT count(*), min(who), max(who) FROM migrate_run.target;
SELECT j.job, j.state, j.batches, j.rows_done FROM conveyor.job_status j WHERE migration = 'migrate_run' ORDER BY job;
SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid();
RESET SESSION AUTHORIZATION;
SELECT count(*) FROM conveyor.job_range JOIN conveyor.job_definition USING (id) WHERE migration = 'migrate_run';

-- what others may not do to it: the functions of runners ask whose job it is
CREATE ROLE regress_migrate_nobody LOGIN;
GRANT conveyor_operator TO regress_migrate_nobody;
SELECT id AS job FROM conveyor.job_definition WHERE migration = 'migrate_run' AND job = 'copy' \gset
SET SESSION AUTHORIZATION regress_migrate_nobody;
\set VERBOSITY sqlstate
SELECT conveyor.job_plan(:job);
SELECT conveyor.job_begin(:job, NULL, 0);
SELECT conveyor.job_claim_begin(:job, 0);
SELECT conveyor.job_claim_store(:job, 0, '{1}', 1, 1, false);
SELECT conveyor.job_take(:job, 0, 1);
SELECT conveyor.job_checkpoint(:job, 0, 1, 1);
SELECT conveyor.job_put_off(:job, 0, 1, 'x', 1, true);
SELECT conveyor.job_split(:job, 0, 1, '{1}', 1, 'x', 1, true);
SELECT conveyor.job_dead_row(:job, 0, 1, '{1}', '22012', 'x');
SELECT conveyor.job_finish(:job);
SELECT conveyor.job_fail(:job, 'x');
SELECT conveyor.job_warn(:job, 'x');
SELECT conveyor.job_end_key(:job);
SELECT conveyor.run_next('migrate_run');
RESET SESSION AUTHORIZATION;
SET SESSION AUTHORIZATION regress_migrate_run;
SELECT conveyor.drop_migration('migrate_run');
RESET SESSION AUTHORIZATION;
\set VERBOSITY terse

-- a step at a time; what a cancelled job has under way is not committed
SET SESSION AUTHORIZATION regress_migrate_run;
SET search_path = migrate_run;
TRUNCATE target;
SELECT conveyor.create_migration('migrate_run', '{"batch_size": 40, "min_batch_size": 40, "max_batch_size": 40}');
SELECT conveyor.add_job('migrate_run', 'copy', 'source', 'INSERT INTO target SELECT id FROM batch');
RESET SESSION AUTHORIZATION;
UPDATE conveyor.migration_state SET state = 'running', started_at = now() WHERE migration = 'migrate_run';
SELECT id AS job FROM conveyor.job_definition WHERE migration = 'migrate_run' \gset
SET SESSION AUTHORIZATION regress_migrate_run;
SELECT conveyor.run_batch(:job);
SELECT conveyor.run_batch(:job, 1);
BEGIN;
SELECT conveyor.run_batch(:job);
ROLLBACK;
SELECT verdict FROM conveyor.job_claim_begin(:job, 0);
SELECT conveyor.job_claim_store(:job, 0, '{90}', 10, 40, false);
SELECT conveyor.cancel_migration('migrate_run');
\set VERBOSITY sqlstate
SELECT conveyor.job_checkpoint(:job, 0, 3, 1);
\set VERBOSITY terse
SELECT count(*) FROM target;
SELECT conveyor.run_batch(:job);
CALL conveyor.run_migration('migrate_run');
SELECT conveyor.drop_migration('migrate_run');
RESET SESSION AUTHORIZATION;

SET client_min_messages = error;
DROP SCHEMA migrate_run CASCADE;
DROP OWNED BY regress_migrate_run, regress_migrate_other, regress_migrate_nobody;
DROP ROLE regress_migrate_run, regress_migrate_other, regress_migrate_nobody;
