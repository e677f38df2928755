-- What cannot be followed is refused by name and place, with what to write instead; or accepted where someone says so.
SET client_min_messages = error;
CREATE EXTENSION IF NOT EXISTS pg_conveyor;
CREATE SCHEMA derive_refusals;
SET search_path = derive_refusals, public;
CREATE TABLE orders (id bigint PRIMARY KEY, customer_id int, status text, placed timestamptz);
CREATE TABLE customer (id int PRIMARY KEY, name text);
CREATE TABLE settings (name text PRIMARY KEY, value text, unused text);
CREATE TABLE tree (id int PRIMARY KEY, parent int, name text);
CREATE FUNCTION rate(int) RETURNS numeric LANGUAGE sql STABLE AS 'SELECT 1.0';
CREATE FUNCTION steady(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT $1';
CREATE FUNCTION swings(int, int) RETURNS int LANGUAGE sql VOLATILE AS 'SELECT $1';
CREATE AGGREGATE swinging(int) (SFUNC = swings, STYPE = int);
CREATE FUNCTION refusal(query text, key text[] DEFAULT '{id}', options jsonb DEFAULT '{}') RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
  m text; d text; h text;
BEGIN
  EXECUTE 'CREATE VIEW document AS ' || query;
  BEGIN
    PERFORM conveyor.create_feed('refused', 'document', key, options => options);
    RETURN NEXT 'accepted';
    PERFORM conveyor.drop_feed('refused');
  EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS m = MESSAGE_TEXT, d = PG_EXCEPTION_DETAIL, h = PG_EXCEPTION_HINT;
    RETURN NEXT m;
    IF d <> '' THEN RETURN NEXT d; END IF;
    IF h <> '' THEN RETURN NEXT h; END IF;
  END;
  DROP VIEW document;
END $$;
\t on
\pset format unaligned
-- functions: immutable ones may be, and those of the server that depend on pinned settings alone
SELECT refusal('SELECT id, steady(customer_id), jsonb_build_object(''at'', placed), to_char(placed, ''YYYY''), placed::date, status::date FROM orders');
SELECT refusal('SELECT id, rate(customer_id) FROM orders');
SELECT refusal('SELECT id, random() AS r FROM orders');
SELECT refusal('SELECT id FROM orders WHERE placed > now() - interval ''90 days''');
SELECT refusal('SELECT id FROM orders ORDER BY CURRENT_DATE - placed::date');
SELECT refusal('SELECT o.id, c.name FROM orders o JOIN customer c ON c.id = o.customer_id AND c.name <> CURRENT_USER');
SELECT refusal('SELECT id, age(placed) FROM orders');
SELECT refusal('SELECT id, to_tsvector(status) FROM orders');
SELECT refusal('SELECT customer_id AS id, swinging(id::int) FROM orders GROUP BY 1');
SELECT refusal('SELECT id, (SELECT string_agg(c.name || rate(1), '','') FROM customer c WHERE c.id = o.customer_id) FROM orders o');
SELECT refusal('SELECT id, xmin::text FROM orders');
SELECT refusal('SELECT id, tableoid::regclass::oid FROM orders');
SELECT refusal('SELECT id FROM orders TABLESAMPLE system (50)');
-- several at once: one command that says all
SELECT refusal('SELECT id, random() AS r, rate(1) FROM orders WHERE placed > now() AND status IN (SELECT value FROM settings)');
-- named, they are accepted, by the name alone or in full; the rest is followed
SELECT refusal('SELECT id, rate(customer_id) FROM orders WHERE placed > now()', options => '{"ignore": ["now", "derive_refusals.rate(integer)"]}');
SELECT refusal('SELECT id, CURRENT_DATE AS d FROM orders', options => '{"ignore": ["current_date"]}');
SELECT refusal('SELECT id FROM orders', options => '{"ignore": ["now"]}');
SELECT refusal('SELECT id FROM orders', options => '{"ignore": "now"}');
-- one document for everything: no column counts, rows do
SELECT refusal('SELECT 1 AS id, count(*) FROM orders');
-- a table without a way to the key
SELECT refusal('SELECT o.id, (SELECT value FROM settings WHERE name = ''x'') AS x FROM orders o');
SELECT refusal('SELECT o.id, s.value FROM orders o CROSS JOIN settings s');
SELECT refusal('SELECT o.id FROM orders o WHERE EXISTS (SELECT FROM settings)');
SELECT refusal('SELECT o.id, sum(count(*)) OVER () AS share FROM orders o GROUP BY o.id');
SELECT refusal('SELECT id, rank() OVER (ORDER BY placed) AS rank FROM orders');
SELECT refusal('SELECT id FROM orders ORDER BY placed LIMIT 10');
SELECT refusal('SELECT DISTINCT ON (customer_id) id, customer_id FROM orders ORDER BY customer_id, placed');
SELECT refusal('SELECT max(id) AS id, customer_id FROM orders GROUP BY customer_id');
SELECT refusal('SELECT unnest(ARRAY[id, -id]) AS id FROM orders');
SELECT refusal('SELECT customer_id AS id, count(*) FROM orders GROUP BY ROLLUP (customer_id)');
SELECT refusal('SELECT o.id, (SELECT t.name FROM (WITH RECURSIVE up AS (SELECT id, parent, name FROM tree WHERE id = 1 UNION ALL SELECT t.id, t.parent, t.name FROM tree t JOIN up ON up.parent = t.id) SELECT name FROM up) t LIMIT 1) FROM orders o');
SELECT refusal('WITH RECURSIVE up AS (SELECT id, parent, random() AS r FROM tree UNION ALL SELECT t.id, t.parent, 1 FROM tree t JOIN up ON up.parent = t.id) SELECT id FROM up');
-- what changes without a trace
CREATE MATERIALIZED VIEW stored AS SELECT * FROM customer;
CREATE UNLOGGED TABLE fleeting (id int PRIMARY KEY);
CREATE FOREIGN DATA WRAPPER derive_wrapper;
CREATE SERVER derive_server FOREIGN DATA WRAPPER derive_wrapper;
CREATE FOREIGN TABLE far_away (id int) SERVER derive_server;
SELECT refusal('SELECT id FROM stored');
SELECT refusal('SELECT id FROM fleeting');
SELECT refusal('SELECT o.id FROM orders o JOIN far_away f ON f.id = o.customer_id');
SELECT refusal('SELECT o.id, (SELECT relname FROM pg_class c WHERE c.oid = o.customer_id) FROM orders o');
SELECT r FROM refusal('SELECT o.id, t.table_type FROM orders o JOIN information_schema.tables t ON t.table_name = o.status') AS r WHERE r ~ '^view';
SELECT refusal('SELECT o.id FROM orders o JOIN far_away f ON f.id = o.customer_id JOIN stored s ON s.id = f.id', options => '{"ignore": ["far_away", "derive_refusals.stored"]}');
-- who watches must own, what is ignored included not
CREATE ROLE derive_owner;
GRANT USAGE, CREATE ON SCHEMA derive_refusals TO derive_owner;
GRANT conveyor_operator TO derive_owner;
GRANT SELECT ON customer TO derive_owner;
ALTER TABLE orders OWNER TO derive_owner;
SET ROLE derive_owner;
SELECT refusal('SELECT o.id, c.name FROM orders o JOIN customer c ON c.id = o.customer_id');
SELECT refusal('SELECT o.id, c.name FROM orders o JOIN customer c ON c.id = o.customer_id', options => '{"ignore": ["customer"]}');
RESET ROLE;
\t off
DROP FOREIGN DATA WRAPPER derive_wrapper CASCADE;
DROP SCHEMA derive_refusals CASCADE;
REVOKE conveyor_operator FROM derive_owner;
DROP ROLE derive_owner;
