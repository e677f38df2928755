-- What a view must be for documents to be made of it; what can be found out about it.
SET client_min_messages = error;
CREATE EXTENSION IF NOT EXISTS pg_conveyor;
CREATE SCHEMA analyse_feed;
SET search_path = analyse_feed, public;
CREATE FUNCTION analysis(view regclass, key text[] DEFAULT NULL, root regclass DEFAULT NULL,
  OUT key text[], OUT key_types regtype[], OUT root regclass, OUT root_key text[], OUT relations regclass[]) LANGUAGE sql AS
  'SELECT key, key_types::regtype[], root, root_key, relations::regclass[] FROM conveyor.analyse_feed($1, $2, $3)';
CREATE DOMAIN code AS text CHECK (value <> '');
CREATE TABLE customer (id int PRIMARY KEY, name text);
CREATE TABLE orders (year int, id code, customer_id int, boss int, PRIMARY KEY (id, year));
CREATE TABLE item (order_id text, sku text);
CREATE VIEW inner_view AS SELECT o.id AS number, o.year, c.name, c.id AS customer FROM orders o JOIN customer c ON c.id = o.customer_id;
CREATE VIEW outer_view AS
  WITH skus AS (SELECT order_id, json_agg(sku) AS list FROM item GROUP BY 1)
  SELECT v.year AS y, v.number AS n, v.name, s.list FROM inner_view v LEFT JOIN skus s ON s.order_id = v.number;

-- the leftmost table whose whole primary key is there, in the order of that key; domains are resolved
SELECT * FROM analysis('outer_view');
SELECT * FROM analysis('orders');
-- a key that is a table's primary key in another order still has its root; another key has none
SELECT * FROM analysis('outer_view', ARRAY['y', 'n']);
SELECT * FROM analysis('outer_view', ARRAY['n']);
-- a root that is not the leftmost
SELECT key, root FROM analysis('inner_view', NULL, 'customer');
-- both halves of a key must come from the same occurrence of the table
CREATE VIEW self_join AS SELECT a.id, b.year FROM orders a JOIN orders b ON b.id = a.id;
SELECT * FROM analysis('self_join');
SELECT key, root FROM analysis('self_join', ARRAY['id', 'year']);
-- sub-selects of every kind are read
CREATE VIEW nested AS SELECT id FROM customer c WHERE EXISTS (SELECT FROM orders WHERE customer_id = c.id) AND c.name IN (SELECT sku FROM item);
SELECT relations FROM analysis('nested');
CREATE VIEW both_kinds AS SELECT id::text FROM customer UNION ALL SELECT id FROM orders;
SELECT * FROM analysis('both_kinds');
SELECT * FROM analysis('both_kinds', ARRAY['id']);

-- what is refused, and how it is mended
SELECT * FROM analysis('outer_view', ARRAY['id']);
SELECT * FROM analysis('outer_view', ARRAY['n', 'n']);
SELECT * FROM analysis('outer_view', ARRAY[]::text[]);
SELECT * FROM analysis('outer_view', ARRAY['list']);
SELECT * FROM analysis('outer_view', ARRAY['n'], 'orders');
SELECT * FROM analysis('item');
SELECT * FROM analysis('outer_view', ARRAY['n'], 'item');
SELECT * FROM analysis('orders', NULL, 'customer');
CREATE MATERIALIZED VIEW stored AS SELECT * FROM customer;
SELECT * FROM analysis('stored');
CREATE SEQUENCE counter;
SELECT * FROM analysis('counter');
SELECT * FROM conveyor.analyse_feed(NULL, NULL, NULL);

-- names and types of the columns
CREATE TYPE mood AS ENUM ('good', 'bad');
CREATE DOMAIN codes AS code[];
CREATE TABLE wide (id bigint PRIMARY KEY, c code, cs codes, m mood[], o customer, at timestamptz, j jsonb, v varchar(10), n "char", p point);
-- A column that no JSON can be made of.
SELECT conveyor.create_feed('analyse_stats', 'pg_catalog.pg_stats', key => '{schemaname,tablename,attname}');
CREATE VIEW wide_document AS SELECT * FROM wide;
SELECT conveyor.create_feed('analyse_wide', 'wide_document');
SELECT * FROM conveyor.document_columns('analyse_wide');
SELECT conveyor.drop_feed('analyse_wide');

DROP SCHEMA analyse_feed CASCADE;
