-- Owners of watched tables have no right on the extension: they write, and change their tables, as if it was not there. Names
-- that need quotes and characters that mean something in arrays, JSON and patterns are names like others.
CREATE ROLE conveyor_test_owner;
GRANT CREATE ON SCHEMA public TO conveyor_test_owner;
SET ROLE conveyor_test_owner;
CREATE TABLE "We.ird ""t'$$ ü" (id int PRIMARY KEY, "a.b ""c' ü{}\,x" text, gone int) PARTITION BY RANGE (id);
CREATE TABLE owned_1 PARTITION OF "We.ird ""t'$$ ü" FOR VALUES FROM (0) TO (10);
CREATE TABLE owned_base (id int PRIMARY KEY, v text);
RESET ROLE;
SELECT test.watch('"We.ird ""t''$$ ü"'::regclass, ARRAY[$$a.b "c' ü{}\,x$$], ARRAY['id', $$a.b "c' ü{}\,x$$]), test.watch('owned_base', '{v}', '{id}');
SET ROLE conveyor_test_owner;
INSERT INTO "We.ird ""t'$$ ü" VALUES (1, 'x', 1);
UPDATE "We.ird ""t'$$ ü" SET "a.b ""c' ü{}\,x" = 'y';
CREATE TABLE owned_2 PARTITION OF "We.ird ""t'$$ ü" FOR VALUES FROM (10) TO (20);
INSERT INTO owned_2 VALUES (11, 'z', 1);
TRUNCATE owned_2;
CREATE TABLE owned_3 (LIKE owned_2);
ALTER TABLE "We.ird ""t'$$ ü" ATTACH PARTITION owned_3 FOR VALUES FROM (20) TO (30);
CREATE TABLE owned_child () INHERITS (owned_base);
INSERT INTO owned_child VALUES (1, 'a');
ALTER TABLE "We.ird ""t'$$ ü" RENAME "a.b ""c' ü{}\,x" TO "q$$'";
INSERT INTO owned_3 VALUES (21, 'z', 1);
ALTER TABLE "We.ird ""t'$$ ü" DROP gone;
ALTER TABLE owned_3 DISABLE TRIGGER USER;
RESET ROLE;
SELECT * FROM test.captured();
SELECT * FROM conveyor.audit();
SET ROLE conveyor_test_owner;
-- What they may not: read the log, call what is ours, look away, or use the trigger functions by name.
SELECT * FROM conveyor.log_contents();
SET conveyor.installing = on;
CREATE TRIGGER own AFTER INSERT ON owned_base FOR EACH ROW EXECUTE FUNCTION conveyor.capture('1', '{id}', '{id}', 'f', '{23}');
ALTER TABLE "We.ird ""t'$$ ü" DETACH PARTITION owned_3;
DROP TABLE owned_1;
RESET ROLE;
-- A setting of that name which was made before the library was loaded counts for nothing.
\c -
SET ROLE conveyor_test_owner;
SET conveyor.installing = on;
CREATE TABLE owned_4 PARTITION OF "We.ird ""t'$$ ü" FOR VALUES FROM (40) TO (50);
TRUNCATE owned_4;
RESET ROLE;
SELECT kind, entry FROM test.captured();
SELECT * FROM conveyor.audit();
DROP OWNED BY conveyor_test_owner CASCADE;
SELECT kind, entry FROM test.captured();
SELECT severity, object, regexp_replace(problem, '\d+', 'N') AS problem FROM conveyor.audit();
DELETE FROM conveyor.watch WHERE relation <> 'note'::regclass;
SELECT * FROM conveyor.audit();
SELECT count(*) FROM conveyor.capture_member WHERE member <> 'note'::regclass;
DROP ROLE conveyor_test_owner;
SELECT p.oid::regprocedure FROM pg_proc p, aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) AS a
 WHERE p.pronamespace = 'conveyor'::regnamespace AND a.grantee = 0 ORDER BY 1;
