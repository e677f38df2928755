-- The end of a migration: all or nothing, once.
SET client_min_messages = warning;
CREATE TABLE follow.first (id int PRIMARY KEY, v text);
CREATE TABLE follow.second (id int PRIMARY KEY, v text);
CREATE TABLE follow.moved (id int PRIMARY KEY, v text CHECK (v <> 'bad'));
INSERT INTO follow.first VALUES (1, 'one'), (2, 'two');
INSERT INTO follow.second VALUES (11, 'eleven');
SELECT conveyor.create_migration('move');
SELECT conveyor.add_job('move', t, format('follow.%s', t)::regclass, list => t, follow => true,
    statement => 'INSERT INTO follow.moved SELECT * FROM batch ON CONFLICT (id) DO UPDATE SET v = excluded.v',
    options => '{"delete_statement": "DELETE FROM follow.moved t USING gone WHERE t.id = gone.id"}')
  FROM unnest(ARRAY['first', 'second']) AS t;
CALL conveyor.finish_migration('move');
CALL follow.copy('first');
CALL conveyor.finish_migration('move');
CALL follow.copy('second');
UPDATE follow.first SET v = 'uno' WHERE id = 1;
DELETE FROM follow.second;
-- The cutover fails: nothing has happened.
CALL conveyor.finish_migration('move', 'CREATE TABLE follow.witness (v text); INSERT INTO follow.nowhere VALUES (1)');
SELECT to_regclass('follow.witness') IS NULL AS rolled_back, state, cutover_at FROM conveyor.migration_state WHERE migration = 'move';
SELECT job, state FROM conveyor.job_status WHERE migration = 'move' ORDER BY job;
-- So does a transaction that is open around it.
BEGIN;
CALL conveyor.finish_migration('move');
ROLLBACK;
SELECT state FROM conveyor.migration_status WHERE migration = 'move';
-- A row that the target refuses: it is not left behind unless somebody says so.
UPDATE follow.first SET v = 'bad' WHERE id = 2;
CALL conveyor.finish_migration('move');
SELECT job, key, reason FROM conveyor.dead_row WHERE migration = 'move';
CALL conveyor.finish_migration('move', $$
    INSERT INTO follow.moved VALUES (100, 'by the cutover');
    ALTER TABLE follow.moved RENAME TO all_of_it;
    DROP TABLE follow.second
$$, accept_dead_rows => true);
SELECT * FROM follow.all_of_it ORDER BY id;
SELECT state, cutover_at IS NOT NULL AS cut_over FROM conveyor.migration_state WHERE migration = 'move';
SELECT job, state, lag FROM conveyor.job_status WHERE migration = 'move' ORDER BY job;
SELECT tgname FROM pg_trigger WHERE tgrelid = 'follow.first'::regclass AND tgname LIKE 'conveyor%';
SELECT count(*) FROM conveyor.log_cursor WHERE holder LIKE 'move.%';
-- Again: nothing is done twice.
SET client_min_messages = notice;
CALL conveyor.finish_migration('move', 'INSERT INTO follow.all_of_it VALUES (101)');
SET client_min_messages = warning;
SELECT count(*) FROM follow.all_of_it;
SELECT action, detail FROM conveyor.journal_entry WHERE object = 'move' ORDER BY id;
-- A dead row of a migration that is finished is tried again without following anybody.
SELECT conveyor.follow_window(follow.job('first'));
-- Without jobs that follow, the cutover is all there is to do; it runs once.
CREATE TABLE follow.plain (id int PRIMARY KEY);
CREATE TABLE follow.plain_copy (id int PRIMARY KEY);
INSERT INTO follow.plain VALUES (1), (2);
SELECT conveyor.create_migration('plain');
SELECT conveyor.add_job('plain', 'copy plain', 'follow.plain', statement => 'INSERT INTO follow.plain_copy SELECT * FROM batch');
CALL conveyor.finish_migration('plain', 'INSERT INTO follow.plain_copy VALUES (100)');
CALL follow.copy('copy plain');
SELECT state FROM conveyor.migration_status WHERE migration = 'plain';
CALL conveyor.finish_migration('plain', 'INSERT INTO follow.plain_copy VALUES (100)');
CALL conveyor.finish_migration('plain', 'INSERT INTO follow.plain_copy VALUES (101)');
SELECT * FROM follow.plain_copy ORDER BY id;
-- Only the owner, logged in as such.
CREATE ROLE conveyor_test_finisher IN ROLE conveyor_operator;
SET ROLE conveyor_test_finisher;
CALL conveyor.finish_migration('plain');
SELECT * FROM conveyor.verify_job('plain', 'copy plain', 'SELECT * FROM follow.plain_copy');
RESET ROLE;
DROP ROLE conveyor_test_finisher;
CALL conveyor.finish_migration('nothing');
-- What the tests of following leave is taken away, and leaves nothing.
SELECT conveyor.cancel_migration(migration) FROM conveyor.migration_status WHERE state = 'running' ORDER BY migration;
SELECT conveyor.drop_migration(migration) FROM conveyor.migration_definition ORDER BY migration;
DROP SCHEMA follow CASCADE;
SELECT count(*) FROM conveyor.log_cursor WHERE holder LIKE '%.%';
SELECT * FROM conveyor.audit();
