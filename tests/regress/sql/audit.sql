-- What no longer holds, and the command that mends it.
CREATE TABLE audited (id int PRIMARY KEY, v text);
SELECT * FROM conveyor.audit();
INSERT INTO conveyor.watch (feed, relation, columns, documents, recorded, derived) VALUES ('notes', 'audited', '{v}', 'SELECT 1', '{id}', false);
SELECT * FROM conveyor.audit();
SELECT conveyor.install_capture('audited'::regclass) IS NOT NULL AS installed;
SELECT * FROM conveyor.audit();
-- Disabled: put right at once. Dropped: named.
ALTER TABLE audited DISABLE TRIGGER conveyor_capture;
SELECT * FROM conveyor.audit();
DROP TRIGGER conveyor_capture ON audited;
DROP TRIGGER conveyor_truncate ON audited;
SELECT * FROM conveyor.audit();
SELECT conveyor.install_capture('audited'::regclass) IS NOT NULL AS installed;
SELECT * FROM conveyor.audit();
-- The table is exchanged for another of its name.
ALTER TABLE audited RENAME TO audited_old;
CREATE TABLE audited (id int PRIMARY KEY, v text);
CREATE OR REPLACE VIEW note_document AS SELECT n.id, n.body FROM note n WHERE EXISTS (SELECT FROM audited a WHERE a.id = n.id);
SELECT * FROM conveyor.audit();
CREATE OR REPLACE VIEW note_document AS SELECT * FROM note;
SELECT test.unwatch('audited_old');
SELECT * FROM conveyor.audit();
