-- What can be watched, and what the refusal of the rest says: the object, the problem and a remedy.
BEGIN;
\ir fixture.psql
SELECT plan(17);

CREATE TABLE shop.parted (id int PRIMARY KEY) PARTITION BY RANGE (id);
CREATE TABLE shop.keyless (id int);
CREATE UNLOGGED TABLE shop.fleeting (id int);
CREATE TEMP TABLE passing (id int);
CREATE SEQUENCE shop.counter;
CREATE MATERIALIZED VIEW shop.stored AS SELECT 1 AS id;
CREATE FOREIGN DATA WRAPPER watches_wrapper;
CREATE SERVER watches_server FOREIGN DATA WRAPPER watches_wrapper;
CREATE FOREIGN TABLE shop.far_away (id int) SERVER watches_server;

CREATE FUNCTION pg_temp.refusal(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    message text;
    hint    text;
BEGIN
    EXECUTE statement;
    RETURN 'accepted';
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS message = MESSAGE_TEXT, hint = PG_EXCEPTION_HINT;
    RETURN CASE WHEN hint = '' THEN 'without a hint: ' ELSE '' END || message;
END $$;
CREATE FUNCTION pg_temp.watch(relation text, columns text DEFAULT '{id}', documents text DEFAULT 'SELECT id FROM changed') RETURNS text LANGUAGE sql AS
    $$ SELECT pg_temp.refusal(format('SELECT conveyor.add_watch(%L, %s, %L, %L)', 'orders', relation, columns, documents)) $$;

SELECT is(pg_temp.watch(format('%L', relation)), outcome, relation)
  FROM (VALUES ('shop.parted', 'accepted'),
               ('shop.keyless', 'accepted'),
               ('passing', 'cannot watch passing: it is a temporary table, which only one session sees'),
               ('shop.fleeting', 'cannot watch shop.fleeting: it is an unlogged table, which a crash empties without a trace'),
               ('shop.far_away', 'cannot watch shop.far_away: it is a foreign table, whose changes happen elsewhere'),
               ('shop.order_document', 'cannot watch shop.order_document: it is a view: watch the tables that it reads'),
               ('shop.stored', 'cannot watch shop.stored: it is a view: watch the tables that it reads'),
               ('shop.counter', 'cannot watch shop.counter: it is not a table'),
               ('pg_catalog.pg_class', 'cannot watch pg_class: it is a system table'),
               ('conveyor.watch', 'cannot watch conveyor.watch: it is a system table')) AS c(relation, outcome);
SELECT is(pg_temp.watch('NULL'), 'a watch needs a relation, its columns and a query for the documents', 'no table at all');
SELECT is(pg_temp.watch('''shop.keyless''', '{}'), 'a watch needs a relation, its columns and a query for the documents', 'no columns');
SELECT is(pg_temp.watch('''shop.keyless''', '{id,nonsense}'), 'table shop.keyless has no column "nonsense"', 'a column that there is not');
SELECT is(pg_temp.watch('''shop.keyless''', '{ctid}'), 'table shop.keyless has no column "ctid"', 'nor one of the system''s');
SELECT is(pg_temp.refusal($$SELECT conveyor.create_feed('k', 'shop.keyless')$$) ~ '^without', false, 'a feed of a table without a primary key needs to be told its key, and says so');
SELECT is(pg_temp.refusal($$SELECT conveyor.create_feed('f', 'shop.stored', ARRAY['id'])$$) ~ '^without', false, 'one of a stored view cannot be followed');
SELECT is((SELECT array_agg(w.relation::text ORDER BY w.relation::text) FROM conveyor.watch w WHERE w.relation::text NOT IN ('shop.orders', 'shop.item')), '{shop.keyless,shop.parted}',
    'what was accepted is watched, and nothing else');

SELECT * FROM finish();
ROLLBACK;
