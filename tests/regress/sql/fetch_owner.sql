-- Documents are read with the rights of the feed's owner, and do not depend on who reads.
SET client_min_messages = error;
CREATE EXTENSION IF NOT EXISTS pg_conveyor;
CREATE ROLE regress_fetch_owner;
CREATE ROLE regress_fetch_agent;
GRANT conveyor_operator TO regress_fetch_owner;
GRANT EXECUTE ON FUNCTION conveyor.create_target(text, text, jsonb) TO regress_fetch_owner;
GRANT conveyor_agent TO regress_fetch_agent;
GRANT EXECUTE ON FUNCTION conveyor.frame_records(bytea) TO regress_fetch_agent;
CREATE SCHEMA fetch_owner AUTHORIZATION regress_fetch_owner;

SET SESSION AUTHORIZATION regress_fetch_owner;
SET search_path = fetch_owner, public;
SELECT conveyor.create_target('owner', 'ndjson', '{"directory": "/tmp"}');
CREATE FUNCTION who() RETURNS text LANGUAGE sql AS 'SELECT current_user::text';
CREATE FUNCTION path() RETURNS text LANGUAGE sql STABLE AS $$SELECT current_setting('search_path')$$;
CREATE TABLE secret (id int PRIMARY KEY, at timestamptz, day date, took interval, ratio float8, bytes bytea);
INSERT INTO secret VALUES (1, '2026-03-04 05:06:07+02', '2026-03-04', '1 day 02:00', 0.1::float8 + 0.2::float8, '\x00ff');
CREATE VIEW secret_document AS SELECT secret.*, at::text AS at_text, day::text AS day_text, took::text AS took_text, bytes::text AS bytes_text, who(), path() FROM secret;
SELECT conveyor.create_feed('owner', 'secret_document', options => '{"ignore": ["who", "path"]}');
SELECT conveyor.create_delivery('owner', 'owner', 'owner');
RESET SESSION AUTHORIZATION;

SET SESSION AUTHORIZATION regress_fetch_agent;
SET search_path = public;
SET TimeZone = 'Asia/Tokyo';
SET DateStyle = 'German';
SET IntervalStyle = 'postgres_verbose';
SET extra_float_digits = -5;
SET bytea_output = 'escape';
SELECT * FROM fetch_owner.secret;
BEGIN READ ONLY;
SELECT kind, key, body FROM (SELECT conveyor.fetch_keys('owner', '{1}', pg_current_snapshot()) AS f) a, conveyor.frame_records(f) WHERE kind = 'd';
-- the session is its own again, also between two frames
SELECT current_user, current_setting('TimeZone') AS zone, current_setting('search_path') AS path;
SELECT current_user, current_setting('TimeZone') AS zone, length(conveyor.fetch_keys('owner', '{1}', pg_current_snapshot())) > 0 AS frame;
COMMIT;
RESET SESSION AUTHORIZATION;

-- also after an error in the middle, caught or not
SET SESSION AUTHORIZATION regress_fetch_owner;
SET search_path = fetch_owner, public;
CREATE TABLE risky (id int PRIMARY KEY, divisor int);
INSERT INTO risky SELECT g, CASE WHEN g = 3000 THEN 0 ELSE 1 END FROM generate_series(1, 4000) g;
CREATE VIEW risky_document AS SELECT id, 1 / divisor AS quotient, repeat('x', 100) AS padding FROM risky;
SELECT conveyor.create_feed('risky', 'risky_document');
SELECT conveyor.create_delivery('risky', 'risky', 'owner');
-- a policy that would hide rows from the owner is an error, not a mass delete
CREATE TABLE guarded (id int PRIMARY KEY);
INSERT INTO guarded VALUES (1);
CREATE VIEW guarded_document AS SELECT id FROM guarded;
SELECT conveyor.create_feed('guarded', 'guarded_document');
SELECT conveyor.create_delivery('guarded', 'guarded', 'owner');
ALTER TABLE guarded ENABLE ROW LEVEL SECURITY;
ALTER TABLE guarded FORCE ROW LEVEL SECURITY;
-- nor may the view's functions act as the agent, or escape from the restriction
CREATE FUNCTION escape() RETURNS int LANGUAGE plpgsql AS $$BEGIN SET ROLE regress_fetch_agent; RETURN 1; END$$;
CREATE VIEW escape_document AS SELECT id, escape() FROM secret;
SELECT conveyor.create_feed('escape', 'escape_document', options => '{"ignore": ["escape"]}');
SELECT conveyor.create_delivery('escape', 'escape', 'owner');
-- or leave something behind in the session
CREATE FUNCTION plant() RETURNS int LANGUAGE plpgsql AS $$BEGIN EXECUTE 'PREPARE planted AS SELECT 1'; RETURN 1; END$$;
CREATE VIEW plant_document AS SELECT id, plant() FROM secret;
SELECT conveyor.create_feed('plant', 'plant_document', options => '{"ignore": ["plant"]}');
SELECT conveyor.create_delivery('plant', 'plant', 'owner');
RESET SESSION AUTHORIZATION;

SET SESSION AUTHORIZATION regress_fetch_agent;
BEGIN READ ONLY;
SELECT sum(length(f)) FROM (SELECT conveyor.fetch_range('risky', NULL, NULL, pg_current_snapshot()) AS f) a;
ROLLBACK;
SELECT current_user, current_setting('search_path') AS path;
BEGIN READ ONLY;
DO $$
BEGIN
  PERFORM conveyor.fetch_range('risky', NULL, NULL, pg_current_snapshot());
EXCEPTION WHEN division_by_zero THEN
  RAISE INFO 'caught as %, search path %', current_user, current_setting('search_path');
END
$$;
SELECT name FROM pg_cursors;
-- the other documents can be read without the bad one, and the keys of all
SELECT kind, count(*) FROM (SELECT conveyor.fetch_range('risky', NULL, '{2999}', pg_current_snapshot()) AS f) a, conveyor.frame_records(f) GROUP BY 1 ORDER BY 1;
SELECT kind, count(*) FROM (SELECT conveyor.range_keys('risky', NULL, NULL, pg_current_snapshot()) AS f) a, conveyor.frame_records(f) GROUP BY 1 ORDER BY 1;
COMMIT;
BEGIN READ ONLY; SELECT conveyor.fetch_keys('guarded', '{1}', pg_current_snapshot()); ROLLBACK;
BEGIN READ ONLY; SELECT conveyor.fetch_keys('escape', '{1}', pg_current_snapshot()); ROLLBACK;
BEGIN READ ONLY; SELECT conveyor.fetch_keys('plant', '{1}', pg_current_snapshot()); ROLLBACK;
SELECT name FROM pg_prepared_statements;
RESET SESSION AUTHORIZATION;

SELECT conveyor.drop_delivery(n), conveyor.drop_feed(n) FROM unnest(ARRAY['owner', 'risky', 'guarded', 'escape', 'plant']) n;
SELECT conveyor.drop_target('owner');
REVOKE EXECUTE ON FUNCTION conveyor.frame_records(bytea) FROM regress_fetch_agent;
REVOKE EXECUTE ON FUNCTION conveyor.create_target(text, text, jsonb) FROM regress_fetch_owner;
DROP SCHEMA fetch_owner CASCADE;
DROP ROLE regress_fetch_owner;
DROP ROLE regress_fetch_agent;
