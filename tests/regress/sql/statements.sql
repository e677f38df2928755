-- Every way in which a row can change.
CREATE TABLE item (id int PRIMARY KEY, v int, UNIQUE (v) DEFERRABLE INITIALLY DEFERRED);
CREATE TABLE detail (id int PRIMARY KEY, item int REFERENCES item ON DELETE CASCADE ON UPDATE CASCADE);
SELECT test.watch('item', '{id,v}', '{id}'), test.watch('detail', '{id,item}', '{item}');
COPY item FROM stdin;
1	1
2	2
3	3
\.
SELECT * FROM test.captured();
INSERT INTO item VALUES (1, 10), (4, 4) ON CONFLICT (id) DO UPDATE SET v = excluded.v;
INSERT INTO item VALUES (2, 20) ON CONFLICT (id) DO NOTHING;
SELECT * FROM test.captured();
MERGE INTO item USING (VALUES (2, 0), (3, 30), (5, 50)) AS s (id, v) ON item.id = s.id
 WHEN MATCHED AND s.v = 0 THEN DELETE
 WHEN MATCHED THEN UPDATE SET v = s.v
 WHEN NOT MATCHED THEN INSERT VALUES (s.id, s.v);
SELECT * FROM test.captured();
-- Referential actions.
INSERT INTO detail VALUES (1, 4), (2, 5);
SELECT count(*) FROM test.captured();
UPDATE item SET id = 40 WHERE id = 4;
SELECT * FROM test.captured();
DELETE FROM item WHERE id = 5;
SELECT * FROM test.captured();
-- A cursor, a deferred constraint that is checked at the end, a data-modifying WITH.
BEGIN;
DECLARE c CURSOR FOR SELECT * FROM item ORDER BY id FOR UPDATE;
MOVE 1 FROM c;
UPDATE item SET v = 30 WHERE CURRENT OF c;
UPDATE item SET v = 10 WHERE id = 3;
COMMIT;
SELECT * FROM test.captured();
WITH gone AS (DELETE FROM item WHERE id = 40 RETURNING *) INSERT INTO item SELECT id + 1, v + 1000 FROM gone;
SELECT * FROM test.captured();
-- A deferred trigger that writes during the commit.
CREATE FUNCTION test.late() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO detail VALUES (NEW.id + 100, NEW.id); RETURN NULL; END $$;
CREATE CONSTRAINT TRIGGER late AFTER INSERT ON item DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION test.late();
INSERT INTO item VALUES (60, 60);
SELECT * FROM test.captured();
-- Rows as a logical subscriber applies them.
SET session_replication_role = replica;
INSERT INTO item VALUES (70, 70);
TRUNCATE detail;
RESET session_replication_role;
SELECT * FROM test.captured();
-- What is rolled back was never there; neither is what failed.
BEGIN;
INSERT INTO item VALUES (80, 80);
ROLLBACK;
INSERT INTO item VALUES (81, 81), (81, 82);
SELECT * FROM test.captured();
SELECT test.unwatch('item'), test.unwatch('detail');
