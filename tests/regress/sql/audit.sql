-- What no longer holds, and the command that mends it.
CREATE TABLE audited (id int PRIMARY KEY, v text);
SELECT * FROM conveyor.audit();
INSERT INTO conveyor.watch (feed, relation, columns, documents, recorded, derived) VALUES ('notes', 'audited', '{v}', 'SELECT 1', '{id}', false);
SELECT * FROM conveyor.audit();
SELECT conveyor.install_capture('audited'::regclass) IS NOT NULL AS installed;
SELECT * FROM conveyor.audit();
-- Disabled: put right at once. Dropped: named.
SELECT conveyor.capture_trigger(capture) AS for_rows, conveyor.truncate_trigger(capture) AS for_truncate
  FROM conveyor.capture WHERE relation = 'audited'::regclass AND retired_at IS NULL \gset
ALTER TABLE audited DISABLE TRIGGER :for_rows;
SELECT * FROM conveyor.audit();
DROP TRIGGER :for_rows ON audited;
DROP TRIGGER :for_truncate ON audited;
SELECT severity, object, regexp_replace(problem, '\d+', 'N') AS problem, remedy FROM conveyor.audit();
SELECT conveyor.install_capture('audited'::regclass) IS NOT NULL AS installed;
SELECT * FROM conveyor.audit();
-- Unlogged: written all the same, but a crash would empty it.
ALTER TABLE audited SET UNLOGGED;
SELECT * FROM conveyor.audit();
ALTER TABLE audited SET LOGGED;
SELECT * FROM conveyor.audit();
-- A trigger that a dump of another database brought along.
CREATE TRIGGER conveyor_capture_999999 AFTER INSERT ON audited FOR EACH ROW EXECUTE FUNCTION conveyor.capture('999999', '{id}', '{id}', 'f', '{23}');
SELECT * FROM conveyor.audit();
SELECT conveyor.install_capture('audited'::regclass) IS NOT NULL AS installed;
SELECT * FROM conveyor.audit();
-- One whose number is another table's here records nothing: its keys would be read as that table's.
CREATE TABLE restored (id text, v text);
SELECT format('CREATE TRIGGER conveyor_capture_%1$s AFTER INSERT ON restored FOR EACH ROW EXECUTE FUNCTION conveyor.capture(%1$L, ''{id}'', ''{id}'', ''t'', ''{25}'')', capture) AS rows,
       format('CREATE TRIGGER conveyor_truncate_%1$s AFTER TRUNCATE ON restored EXECUTE FUNCTION conveyor.capture_truncate(%1$L)', capture) AS truncate
  FROM conveyor.capture WHERE relation = 'audited'::regclass AND retired_at IS NULL \gset trigger_
SELECT * FROM test.captured();
\set ECHO none
:trigger_rows;
:trigger_truncate;
\set ECHO all
INSERT INTO restored VALUES ('not a number', NULL);
TRUNCATE restored;
SELECT * FROM test.captured();
SELECT severity, object, regexp_replace(problem, '\d+', 'N') AS problem FROM conveyor.audit();
DROP TABLE restored;
-- One of this table's capture, by which its keys could not be read: it asks for a re-check.
SELECT format('CREATE TRIGGER forged AFTER INSERT ON audited FOR EACH ROW EXECUTE FUNCTION conveyor.capture(%L, ''{id}'', ''{v}'', ''t'', ''{25}'')', capture) AS forged
  FROM conveyor.capture WHERE relation = 'audited'::regclass AND retired_at IS NULL \gset
\set ECHO none
:forged;
\set ECHO all
INSERT INTO audited VALUES (10, 'x');
SELECT * FROM test.captured();
SELECT * FROM conveyor.audit();
SELECT conveyor.install_capture('audited'::regclass) IS NOT NULL AS installed;
SELECT count(*) FROM pg_trigger WHERE tgrelid = 'audited'::regclass;
-- The table is exchanged for another of its name.
ALTER TABLE audited RENAME TO audited_old;
CREATE TABLE audited (id int PRIMARY KEY, v text);
CREATE OR REPLACE VIEW note_document AS SELECT n.id, n.body FROM note n WHERE EXISTS (SELECT FROM audited a WHERE a.id = n.id);
SELECT * FROM conveyor.audit();
CREATE OR REPLACE VIEW note_document AS SELECT * FROM note;
SELECT test.unwatch('audited_old');
SELECT * FROM conveyor.audit();
