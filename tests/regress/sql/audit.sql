-- What no longer holds, and the command that mends it.
CREATE TABLE audited (id int PRIMARY KEY, v text);
SELECT * FROM conveyor.audit();
INSERT INTO conveyor.watch (feed, relation, columns, documents, recorded, derived) VALUES ('notes', 'audited', '{v,id}', 'SELECT id FROM changed', '{id}', false);
SELECT * FROM conveyor.audit();
SELECT conveyor.install_capture('audited'::regclass) IS NOT NULL AS installed;
SELECT * FROM conveyor.audit();
-- Disabled, or under another name: put right at once. Dropped: refused, since nothing would tell of the changes that are lost then.
-- Unless the event triggers are disabled as well: named.
SELECT conveyor.capture_trigger(capture) AS for_rows, conveyor.truncate_trigger(capture) AS for_truncate
  FROM conveyor.capture WHERE relation = 'audited'::regclass AND retired_at IS NULL \gset
ALTER TABLE audited DISABLE TRIGGER :for_rows;
SELECT * FROM conveyor.audit();
ALTER TRIGGER :for_rows ON audited RENAME TO renamed;
SELECT * FROM conveyor.audit();
CREATE FUNCTION test.refused(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    said text;
    more text;
    hint text;
BEGIN
    EXECUTE statement;
    RETURN 'accepted';
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS said = MESSAGE_TEXT, more = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
    RETURN format('%s / %s / %s', regexp_replace(said, '\d+', 'N'), more, hint);
END $$;
SELECT test.refused(format('DROP TRIGGER %I ON audited', t)) FROM unnest(ARRAY[:'for_rows', :'for_truncate']) AS t;
ALTER EVENT TRIGGER conveyor_capture_on_drop DISABLE;
DROP TRIGGER :for_rows ON audited;
DROP TRIGGER :for_truncate ON audited;
SELECT severity, object, regexp_replace(problem, '\d+', 'N') AS problem, remedy FROM conveyor.audit();
ALTER EVENT TRIGGER conveyor_capture_on_drop ENABLE ALWAYS;
SELECT conveyor.install_capture('audited'::regclass) IS NOT NULL AS installed;
SELECT * FROM conveyor.audit();
-- Unlogged: written all the same, but a crash would empty it.
ALTER TABLE audited SET UNLOGGED;
SELECT * FROM conveyor.audit();
ALTER TABLE audited SET LOGGED;
SELECT * FROM conveyor.audit();
-- A trigger that a dump of another database brought along; on a table that is captured it does not stay.
CREATE TRIGGER conveyor_capture_999999 AFTER INSERT ON audited FOR EACH ROW EXECUTE FUNCTION conveyor.capture('999999', '{id}', '{id}', 'f', '{23}');
SELECT * FROM conveyor.audit();
ALTER EVENT TRIGGER conveyor_capture_on_ddl DISABLE;
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
-- Nor does one that is to be this table's own soon; then it is made anew, also for sessions that know it.
SELECT format('CREATE TRIGGER conveyor_capture_%1$s AFTER INSERT ON restored FOR EACH ROW EXECUTE FUNCTION conveyor.capture(%1$L, ''{id,v}'', ''{id}'', ''t'', ''{25}'')', last_value + 1) AS rows
  FROM pg_sequences WHERE schemaname = 'conveyor' AND sequencename = 'capture_capture_seq' \gset trigger_
\set ECHO none
:trigger_rows;
\set ECHO all
INSERT INTO restored VALUES ('before', NULL);
SELECT test.watch('restored', '{id,v}', '{id}');
INSERT INTO restored VALUES ('after', NULL);
SELECT * FROM test.captured();
SELECT test.unwatch('restored');
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
ALTER EVENT TRIGGER conveyor_capture_on_ddl ENABLE ALWAYS;
SELECT count(*) FROM pg_trigger WHERE tgrelid = 'audited'::regclass;
-- The table is exchanged for another of its name; the view comes to read that, and the feed follows.
ALTER TABLE audited RENAME TO audited_old;
CREATE TABLE audited (id int PRIMARY KEY, v text);
CREATE OR REPLACE VIEW note_document AS SELECT n.id, n.body FROM note n WHERE EXISTS (SELECT FROM audited a WHERE a.id = n.id);
SELECT * FROM conveyor.audit();
CREATE OR REPLACE VIEW note_document AS SELECT * FROM note;
SELECT test.unwatch('audited_old');
SELECT * FROM conveyor.audit();
