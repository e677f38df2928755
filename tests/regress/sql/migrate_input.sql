-- What add_job() refuses, and what it takes: each is found when the job is added, not in a worker's log.
SET client_min_messages = error;
CREATE EXTENSION IF NOT EXISTS pg_conveyor;
CREATE SCHEMA migrate_input;
SET search_path = migrate_input;
CREATE TABLE source (id bigint PRIMARY KEY, tenant int NOT NULL, code text COLLATE "C", name text, UNIQUE (tenant, id));
CREATE TABLE target (id bigint PRIMARY KEY, name text);
CREATE TABLE batch (id bigint);
CREATE TABLE no_key (id bigint);
CREATE TABLE nullable (id bigint UNIQUE);
CREATE TABLE partial (id bigint NOT NULL, live boolean);
CREATE UNIQUE INDEX ON partial (id) WHERE live;
CREATE TABLE deferred (id bigint NOT NULL UNIQUE DEFERRABLE);
CREATE TABLE patterned (id text NOT NULL COLLATE "en-x-icu");
CREATE UNIQUE INDEX ON patterned (id text_pattern_ops);
CREATE TABLE mixed (a int NOT NULL, b int NOT NULL);
CREATE UNIQUE INDEX ON mixed (a, b DESC);
CREATE TABLE geometric (id point NOT NULL);
CREATE TABLE parent (id bigint PRIMARY KEY);
CREATE TABLE child () INHERITS (parent);
CREATE VIEW looking AS SELECT * FROM source;
CREATE UNLOGGED TABLE unlogged (id bigint PRIMARY KEY);
CREATE FOREIGN DATA WRAPPER migrate_input;
CREATE SERVER migrate_input FOREIGN DATA WRAPPER migrate_input;
CREATE FOREIGN TABLE elsewhere (id bigint, name text) SERVER migrate_input;
CREATE TABLE spread (id bigint, name text) PARTITION BY RANGE (id);
CREATE FOREIGN TABLE spread_elsewhere PARTITION OF spread DEFAULT SERVER migrate_input;
CREATE FUNCTION ranged(first bigint, last bigint) RETURNS void LANGUAGE sql AS '';
CREATE FUNCTION ranged(first text, last text) RETURNS void LANGUAGE sql AS '';
CREATE FUNCTION alone(first bigint) RETURNS void LANGUAGE sql AS '';
CREATE PROCEDURE proceeding(first bigint, last bigint) LANGUAGE sql AS '';
CREATE PROCEDURE answering(first bigint, last bigint, INOUT answer int) LANGUAGE sql AS 'SELECT 1';

SELECT conveyor.create_migration('migrate_input');
-- Adds and forgets a job; says what was found, or what was refused and how it is mended.
CREATE FUNCTION try(source text, statement text DEFAULT NULL, call text DEFAULT NULL, key text[] DEFAULT NULL, options jsonb DEFAULT '{}') RETURNS text
    LANGUAGE plpgsql AS $$
DECLARE
    message text; detail text; hint text; found text;
BEGIN
    PERFORM conveyor.add_job('migrate_input', 'job', source::regclass, statement, call::regprocedure, key => key, options => options);
    SELECT format('key %s of %s, writes to %s', j.key, j.key_types, j.targets) INTO found FROM conveyor.job_definition j WHERE j.migration = 'migrate_input';
    DELETE FROM conveyor.job_definition j WHERE j.migration = 'migrate_input';
    RETURN found;
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
    RETURN concat_ws(E'\n', SQLSTATE || ' ' || message, nullif(detail, ''), nullif(hint, ''));
END
$$;
\t on
\a
\set VERBOSITY terse

-- the source
SELECT try('nowhere', 'INSERT INTO target SELECT id, name FROM batch');
SELECT try('looking', 'INSERT INTO target SELECT id, name FROM batch');
SELECT try('unlogged', 'INSERT INTO target SELECT id FROM batch');
CREATE TEMP TABLE temporary (id bigint PRIMARY KEY);
SELECT regexp_replace(try('temporary', 'INSERT INTO target SELECT id FROM batch'), 'pg_temp_[0-9]+', 'pg_temp');
SELECT try('elsewhere', 'INSERT INTO target SELECT id, name FROM batch');
SELECT try('parent', 'INSERT INTO target SELECT id FROM batch');

-- the key
SELECT try('no_key', 'INSERT INTO target SELECT id FROM batch');
SELECT try('nullable', 'INSERT INTO target SELECT id FROM batch', key => '{id}');
SELECT try('partial', 'INSERT INTO target SELECT id FROM batch', key => '{id}');
SELECT try('deferred', 'INSERT INTO target SELECT id FROM batch', key => '{id}');
SELECT try('patterned', 'INSERT INTO target SELECT 1 FROM batch', key => '{id}');
SELECT try('mixed', 'INSERT INTO target SELECT a FROM batch', key => '{a,b}');
SELECT try('geometric', 'INSERT INTO target SELECT 1 FROM batch', key => '{id}');
SELECT try('source', 'INSERT INTO target SELECT id FROM batch', key => '{name}');
SELECT try('source', 'INSERT INTO target SELECT id FROM batch', key => '{id,tenant}');
SELECT try('source', 'INSERT INTO target SELECT id FROM batch', key => '{missing}');
SELECT try('source', 'INSERT INTO target SELECT id FROM batch', key => '{}');
SELECT try('source', 'INSERT INTO target SELECT id FROM batch', key => '{tenant,id}');
SELECT try('source', 'INSERT INTO target SELECT id FROM batch');

-- the statement
SELECT try('source', 'INSERT INTO target SELECT id, name FROM source');
SELECT try('source', 'INSERT INTO target SELECT id FROM migrate_input.batch');
SELECT try('source', 'WITH batch AS (SELECT 1 AS id) INSERT INTO target SELECT id FROM batch');
SELECT try('source', 'INSERT INTO target WITH batch AS (SELECT 1 AS id) SELECT id FROM batch');
SELECT try('source', 'INSERT INTO target SELECT id FROM batch; DELETE FROM target');
SELECT try('source', '');
SELECT try('source', 'COMMIT');
SELECT try('source', 'CREATE TABLE copied AS SELECT * FROM batch');
SELECT try('source', 'SELECT * INTO copied FROM batch');
SELECT try('source', 'CALL proceeding(1, 2)');
SELECT try('source', 'INSERT INTO target SELECT id FROM batch WHERE id > $1');
SELECT try('source', 'INSERT INTO target SELECT id, missing FROM batch');
SELECT try('source', 'INSERT INTO nowhere SELECT id FROM batch');
SELECT try('source', 'INSERT INTO target SELECT id FROM batch WHERE');
SELECT try('source', 'INSERT INTO elsewhere SELECT id, name FROM batch');
SELECT try('source', 'INSERT INTO spread SELECT id, name FROM batch');
SELECT try('source', 'WITH sent AS (INSERT INTO elsewhere SELECT id, name FROM batch RETURNING id) INSERT INTO target SELECT id FROM sent');
SELECT try('source', 'WITH RECURSIVE up(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM up WHERE n < 3) INSERT INTO target SELECT id * n FROM batch, up');
SELECT try('source', '/* with */ WITH /* a list */ recursive AS (SELECT 1 AS one) INSERT INTO target SELECT id FROM batch, recursive -- nothing behind');
SELECT try('source', 'UPDATE target t SET name = b.name FROM batch b WHERE b.id = t.id;');
SELECT try('source', 'DELETE FROM target t USING batch b WHERE b.id = t.id');
SELECT try('source', 'MERGE INTO target t USING batch b ON b.id = t.id WHEN NOT MATCHED THEN INSERT VALUES (b.id)');
SELECT try('source', '(SELECT count(*) FROM batch)');
SELECT try('source', 'WITH moved AS (DELETE FROM source s USING batch b WHERE s.id = b.id RETURNING s.id) INSERT INTO target SELECT id FROM moved');

-- the condition, the set-up and the delete_statement
SELECT try('source', 'INSERT INTO target SELECT id FROM batch', options => '{"where": "name <> ''x''"}');
SELECT try('source', 'INSERT INTO target SELECT id FROM batch', options => '{"where": "true) OR (true"}');
SELECT try('source', 'INSERT INTO target SELECT id FROM batch', options => '{"where": "true ORDER BY 1"}');
SELECT try('source', 'INSERT INTO target SELECT id FROM batch', options => '{"where": "true; DROP TABLE target"}');
SELECT try('source', 'INSERT INTO target SELECT id FROM batch', options => '{"where": "id > $1"}');
SELECT try('source', 'INSERT INTO target SELECT id FROM batch', options => '{"where": "missing"}');
SELECT try('source', 'INSERT INTO target SELECT id FROM batch JOIN prepared USING (id)');
SELECT try('source', 'INSERT INTO target SELECT id FROM batch JOIN prepared USING (id)', options => '{"setup": "CREATE TEMP TABLE prepared AS SELECT 1::bigint AS id"}');
SELECT to_regclass('pg_temp.prepared') IS NULL AS set_up_is_undone;
SELECT try('source', 'INSERT INTO target SELECT id FROM batch', options => '{"delete_statement": "DELETE FROM target t USING gone g WHERE g.id = t.id"}');
SELECT try('source', 'INSERT INTO target SELECT id FROM batch', options => '{"delete_statement": "DELETE FROM target"}');

-- the call
SELECT try('source', call => 'ranged(bigint, bigint)');
SELECT try('source', call => 'proceeding(bigint, bigint)');
SELECT try('source', call => 'ranged(text, text)');
SELECT try('source', call => 'alone(bigint)');
SELECT try('source', call => 'answering(bigint, bigint, int)');
SELECT try('source', call => 'pg_catalog.corr(float8, float8)');
SELECT try('source', call => 'ranged(bigint, bigint)', key => '{tenant,id}');
SELECT try('source');
SELECT try('source', 'INSERT INTO target SELECT id FROM batch', 'ranged(bigint, bigint)');

-- rights
CREATE ROLE regress_migrate_input;
GRANT conveyor_operator TO regress_migrate_input;
GRANT USAGE ON SCHEMA migrate_input TO regress_migrate_input;
GRANT SELECT, INSERT ON target TO regress_migrate_input;
GRANT SELECT ON no_key TO regress_migrate_input;
REVOKE EXECUTE ON FUNCTION ranged(bigint, bigint) FROM PUBLIC;
SET SESSION AUTHORIZATION regress_migrate_input;
SELECT conveyor.create_migration('migrate_input_role');
SELECT conveyor.add_job('migrate_input_role', 'job', 'source', 'INSERT INTO target SELECT id FROM batch');
RESET SESSION AUTHORIZATION;
GRANT SELECT ON source TO regress_migrate_input;
SET SESSION AUTHORIZATION regress_migrate_input;
SELECT conveyor.add_job('migrate_input_role', 'job', 'source', 'INSERT INTO no_key SELECT id FROM batch');
SELECT conveyor.add_job('migrate_input_role', 'job', 'source', call => 'ranged(bigint, bigint)');
SELECT conveyor.add_job('migrate_input_role', 'job', 'source', 'INSERT INTO target SELECT id FROM batch');
SELECT conveyor.drop_migration('migrate_input_role');
RESET SESSION AUTHORIZATION;

-- An error points into the text that was given.
\set VERBOSITY default
\set SHOW_CONTEXT never
SELECT conveyor.add_job('migrate_input', 'typing error', 'source', 'INSERT INTO target SELEC id FROM batch');

SELECT conveyor.drop_migration('migrate_input');
DROP SCHEMA migrate_input CASCADE;
DROP FOREIGN DATA WRAPPER migrate_input CASCADE;
DROP OWNED BY regress_migrate_input;
DROP ROLE regress_migrate_input;
