-- Where the change log cannot tell everything the copy is made again, and the end waits until somebody has seen to the rows that went.
SET client_min_messages = warning;
CREATE TABLE follow.note (id int PRIMARY KEY, body text);
CREATE TABLE follow.note_copy (id int PRIMARY KEY, body text);
INSERT INTO follow.note SELECT n, 'note ' || n FROM generate_series(1, 20) AS n;
SELECT conveyor.create_migration('notes');
SELECT conveyor.add_job('notes', 'copy notes', 'follow.note', follow => true,
    statement => 'INSERT INTO follow.note_copy SELECT * FROM batch ON CONFLICT (id) DO UPDATE SET body = excluded.body',
    options => '{"delete_statement": "DELETE FROM follow.note_copy t USING gone WHERE t.id = gone.id"}');
CALL follow.copy('copy notes');
SELECT job, state, percent, warning FROM conveyor.job_status WHERE job = 'copy notes';
TRUNCATE follow.note;
INSERT INTO follow.note VALUES (1, 'anew'), (100, 'anew');
SELECT conveyor.follow_window(follow.job('copy notes'));
SELECT job, state, percent, warning FROM conveyor.job_status WHERE job = 'copy notes';
CALL conveyor.finish_migration('notes');
CALL follow.copy('copy notes');
SELECT job, state, percent, warning FROM conveyor.job_status WHERE job = 'copy notes';
CALL conveyor.finish_migration('notes');
SELECT count(*), min(key::int), max(key::int) FROM conveyor.verify_job('notes', 'copy notes', 'SELECT * FROM follow.note_copy') WHERE problem = 'extra';
CALL conveyor.finish_migration('notes');
SELECT count(*) FROM conveyor.verify_job('notes', 'copy notes', 'SELECT * FROM follow.note_copy', repair => true) WHERE detail = 'repaired';
SELECT * FROM follow.note_copy ORDER BY id;
SELECT job, state, warning FROM conveyor.job_status WHERE job = 'copy notes';
-- The log was full: by another table's changes.
CREATE TABLE follow.filler (id int PRIMARY KEY, v text);
ALTER TABLE follow.filler ALTER v SET STORAGE EXTERNAL;
SELECT test.watch('follow.filler', '{v}', '{v}');
INSERT INTO follow.filler SELECT 1, string_agg(md5(n::text), '') FROM generate_series(1, 50000) AS n;
SET conveyor.max_log_size = '1MB';
INSERT INTO follow.note SELECT n, 'more' FROM generate_series(1000, 5000) AS n;
DELETE FROM follow.note WHERE id = 1;
RESET conveyor.max_log_size;
SELECT conveyor.follow_window(follow.job('copy notes'));
SELECT job, state, warning FROM conveyor.job_status WHERE job = 'copy notes';
CALL follow.copy('copy notes');
SELECT * FROM conveyor.verify_job('notes', 'copy notes', 'SELECT * FROM follow.note_copy');
SELECT * FROM conveyor.verify_job('notes', 'copy notes', 'SELECT * FROM follow.note_copy', repair => true);
SELECT job, state, warning FROM conveyor.job_status WHERE job = 'copy notes';
-- A column's type changes: contents change unseen.
ALTER TABLE follow.note ALTER body TYPE varchar(5) USING left(body, 3);
SELECT conveyor.follow_window(follow.job('copy notes'));
SELECT job, state, warning FROM conveyor.job_status WHERE job = 'copy notes';
CALL follow.copy('copy notes');
SELECT count(*) FROM conveyor.verify_job('notes', 'copy notes', 'SELECT * FROM follow.note_copy');
-- A job that stands still lets go of the log before it is full.
UPDATE conveyor.migration_state SET state = 'paused' WHERE migration = 'notes';
DELETE FROM follow.note WHERE id > 1000;
SET conveyor.max_log_size = '1MB';
SELECT conveyor.release_followed_log();
SELECT count(*) FROM conveyor.log_cursor c, LATERAL conveyor.log_has_pending(c.cursor, NULL) AS holds WHERE c.holder = 'notes.copy notes' AND holds;
RESET conveyor.max_log_size;
SELECT conveyor.follow_window(follow.job('copy notes'));
SELECT job, state, warning FROM conveyor.job_status WHERE job = 'copy notes';
UPDATE conveyor.migration_state SET state = 'running' WHERE migration = 'notes';
SELECT test.unwatch('follow.filler');
CALL follow.copy('copy notes');
SELECT count(*) FROM conveyor.verify_job('notes', 'copy notes', 'SELECT * FROM follow.note_copy', repair => true);
-- The key's column is renamed: what the capture cannot follow stops the job, and the audit names it.
ALTER TABLE follow.note RENAME id TO number;
SELECT job, state, last_error FROM conveyor.job_status WHERE job = 'copy notes';
SELECT severity, object, problem, remedy FROM conveyor.audit();
ALTER TABLE follow.note RENAME number TO id;
SELECT * FROM conveyor.audit();
SELECT action, object, detail FROM conveyor.journal_entry WHERE object LIKE 'notes.%' ORDER BY id;
SELECT conveyor.cancel_migration('notes'), conveyor.drop_migration('notes');
