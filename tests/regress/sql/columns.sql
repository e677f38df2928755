-- Columns that change under a watch.
CREATE TABLE shape (id int PRIMARY KEY, a text NOT NULL, b varchar(5), c int);
SELECT test.watch('shape', '{a,b}', '{id,a}');
INSERT INTO shape VALUES (1, 'x', 'y', 1);
SELECT * FROM test.captured();
-- Another column goes: numbers shift, nothing else.
ALTER TABLE shape DROP c;
ALTER TABLE shape ADD d int;
UPDATE shape SET b = 'z';
SELECT * FROM test.captured();
-- NULL becomes possible: the entries change their form with it.
ALTER TABLE shape ALTER a DROP NOT NULL;
UPDATE shape SET a = NULL;
SELECT * FROM test.captured();
-- Another type: rewritten, so contents may be others; and what is recorded changes with it.
ALTER TABLE shape ALTER a TYPE bytea USING NULL;
UPDATE shape SET a = '\x01';
SELECT * FROM test.captured();
-- Renamed: the capture follows, also two names that are exchanged, and what was logged before stays readable.
ALTER TABLE shape RENAME a TO e;
SELECT * FROM test.captured();
UPDATE shape SET e = '\x02';
INSERT INTO shape VALUES (2, NULL, NULL, NULL), (3, NULL, NULL, NULL);
SELECT * FROM test.captured();
BEGIN;
UPDATE shape SET e = '\x03' WHERE id = 2;
ALTER TABLE shape RENAME e TO swapped;
ALTER TABLE shape RENAME b TO e;
ALTER TABLE shape RENAME swapped TO b;
UPDATE shape SET b = '\x04' WHERE id = 2;
COMMIT;
SELECT * FROM test.captured();
SELECT columns, recorded, documents FROM conveyor.watch WHERE relation = 'shape'::regclass;
SELECT * FROM conveyor.audit();
-- A column goes that is compared only: nothing more to compare. One that is recorded: the writer goes on, every transaction
-- asks for a re-check, and the audit says what to do.
ALTER TABLE shape DROP e;
SELECT * FROM test.captured();
SELECT columns, recorded FROM conveyor.watch WHERE relation = 'shape'::regclass;
SELECT * FROM conveyor.audit();
ALTER TABLE shape DROP b;
SELECT * FROM test.captured();
UPDATE shape SET d = 1;
INSERT INTO shape VALUES (4), (5);
SELECT * FROM test.captured();
SELECT severity, object, problem FROM conveyor.audit();
SELECT test.watch('shape', '{d}', '{id}');
UPDATE shape SET d = 2 WHERE id = 2;
SELECT * FROM test.captured();
-- A type changes behind our back: the writer goes on, and nothing is recorded in a form that nobody could read.
ALTER EVENT TRIGGER conveyor_capture_on_ddl DISABLE;
ALTER EVENT TRIGGER conveyor_capture_on_rewrite DISABLE;
ALTER TABLE shape ALTER id TYPE text;
ALTER EVENT TRIGGER conveyor_capture_on_ddl ENABLE ALWAYS;
ALTER EVENT TRIGGER conveyor_capture_on_rewrite ENABLE ALWAYS;
SELECT kind FROM test.captured();
UPDATE shape SET d = 3 WHERE id = '2';
SELECT * FROM test.captured();
SELECT conveyor.install_capture('shape'::regclass) IS NOT NULL AS installed;
UPDATE shape SET d = 4 WHERE id = '2';
SELECT * FROM test.captured();
-- A table that moves or is renamed stays watched.
ALTER TABLE shape RENAME TO form;
ALTER TABLE form SET SCHEMA test;
DELETE FROM test.form WHERE id = '3';
SELECT * FROM test.captured();
-- DROP is a signal.
DROP TABLE test.form;
SELECT kind, entry FROM test.captured();
DELETE FROM conveyor.watch WHERE relation <> 'note'::regclass;
