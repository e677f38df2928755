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
-- Renamed: the writer goes on, every transaction asks for a re-check, and the audit says what to do.
ALTER TABLE shape RENAME a TO e;
SELECT * FROM test.captured();
UPDATE shape SET e = '\x02';
INSERT INTO shape VALUES (2, NULL, NULL, NULL), (3, NULL, NULL, NULL);
SELECT * FROM test.captured();
SELECT severity, object, problem FROM conveyor.audit();
SELECT test.watch('shape', '{e,b}', '{id,e}');
UPDATE shape SET e = '\x03' WHERE id = 2;
SELECT * FROM test.captured();
-- A table that moves or is renamed stays watched.
ALTER TABLE shape RENAME TO form;
ALTER TABLE form SET SCHEMA test;
DELETE FROM test.form WHERE id = 3;
SELECT * FROM test.captured();
-- DROP is a signal.
DROP TABLE test.form;
SELECT kind, entry FROM test.captured();
DELETE FROM conveyor.watch WHERE relation <> 'note'::regclass;
