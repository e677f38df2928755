-- What a key query must be, and which columns of `changed` it reads.
SET client_min_messages = error;
CREATE EXTENSION IF NOT EXISTS pg_conveyor;
CREATE SCHEMA analyse_watch;
SET search_path = analyse_watch, public;
CREATE TABLE orders (id bigint PRIMARY KEY, customer_id int);
CREATE TABLE customer (id int PRIMARY KEY, name text, area text);
CREATE TABLE keyless (id int);
CREATE FUNCTION reads(documents text, types regtype[] DEFAULT '{bigint}') RETURNS text[] LANGUAGE sql AS
  $$SELECT conveyor.analyse_watch('analyse_watch.customer', '{id,name,area}', $1, $2::oid[])$$;

-- only what is read is recorded
SELECT reads('SELECT o.id FROM changed c JOIN orders o ON o.customer_id = c.id');
SELECT reads('SELECT o.id FROM orders o WHERE o.customer_id IN (SELECT c.id FROM changed c WHERE c.area IS NOT NULL)');
SELECT reads('SELECT o.id FROM orders o WHERE EXISTS (SELECT FROM changed WHERE changed.id = o.customer_id)');
SELECT reads('SELECT (SELECT max(o.id) FROM orders o WHERE o.customer_id = c.id) FROM changed c');
SELECT reads('WITH x AS (SELECT id FROM changed) SELECT id FROM x');
SELECT reads('SELECT o.id FROM changed JOIN orders o USING (id)');
SELECT reads('SELECT o.id FROM (changed c LEFT JOIN orders o ON true) AS j(a, b, c, id, d), orders o WHERE o.id = j.a');
SELECT reads('SELECT id FROM changed UNION SELECT length(name) FROM changed');
SELECT reads('SELECT length(changed::text) FROM changed');
SELECT reads('SELECT o.id FROM changed, orders o');
SELECT reads('SELECT id FROM changed -- ends in a comment');
SELECT reads('SELECT name, id FROM changed', '{text,int}');
-- names are looked up in the path that the query will run with
SELECT conveyor.analyse_watch('customer', '{id}', 'SELECT o.id FROM changed c JOIN orders o ON o.customer_id = c.id', '{20}', 'analyse_watch');
SELECT conveyor.analyse_watch('customer', '{id}', 'SELECT o.id FROM changed c JOIN orders o ON o.customer_id = c.id', '{20}', 'pg_catalog');

-- what is refused
SELECT reads('SELECT id FROM orders');
SELECT reads('SELECT id, name FROM changed');
SELECT reads('SELECT name FROM changed');
SELECT reads('SELECT missing FROM changed');
SELECT reads('DELETE FROM orders RETURNING id');
SELECT reads('WITH gone AS (DELETE FROM orders RETURNING id) SELECT id FROM gone');
SELECT reads('SELECT id FROM changed; SELECT 1');
SELECT reads('SELECT id FROM changed;');
SELECT reads('SELECT id FROM changed) AS q, (SELECT 1');
SELECT reads('');
SELECT conveyor.analyse_watch('customer', '{id,missing}', 'SELECT id FROM changed', '{20}');
SELECT conveyor.analyse_watch('keyless', '{id}', 'SELECT id FROM changed', '{20}');
SELECT conveyor.analyse_watch('pg_class', '{oid}', 'SELECT oid FROM changed', '{20}');
SELECT conveyor.analyse_watch(NULL, '{oid}', 'SELECT oid FROM changed', '{20}');
DROP SCHEMA analyse_watch CASCADE;
