-- Key queries through sub-selects, aggregates, set operations and WITH queries.
SET client_min_messages = error;
CREATE EXTENSION IF NOT EXISTS pg_conveyor;
CREATE SCHEMA derive_subselects;
SET search_path = derive_subselects, public;
CREATE TABLE customer (id int PRIMARY KEY, name text, vip boolean);
CREATE TABLE orders (id bigint PRIMARY KEY, customer_id int NOT NULL, status text, placed date, archived boolean);
CREATE TABLE item (id int PRIMARY KEY, order_id bigint, product_id int, price numeric, quantity int);
CREATE TABLE product (id int PRIMARY KEY, title text, hidden boolean);
CREATE TABLE event (id int PRIMARY KEY, order_id bigint NOT NULL, at timestamptz, kind text);
CREATE TABLE old_orders (id int PRIMARY KEY, customer_id int, status text);
CREATE TABLE block (order_id bigint NOT NULL, reason text);
CREATE TABLE money_order (id numeric PRIMARY KEY, amount int);
CREATE TABLE transfer (id int PRIMARY KEY, money_order_id numeric);
CREATE FUNCTION watches(view regclass, key text[] DEFAULT '{id}', ignore text[] DEFAULT '{}',
  OUT relation regclass, OUT columns text, OUT documents text) RETURNS SETOF record LANGUAGE sql AS
  $$SELECT relation::regclass, columns::text, coalesce(documents, upper(kind) || ': ' || coalesce(object, '') || ' in ' || coalesce(place, '') || ' ' || coalesce(reason, ''))
      FROM conveyor.follow_view($1, $2, $3) ORDER BY relation::regclass::text, documents$$;

-- correlated sub-selects in the target list, nested; arrays; the whole of it depends on nothing but what they read
CREATE VIEW listed AS SELECT o.id,
  (SELECT jsonb_agg(jsonb_build_object('title', p.title, 'price', i.price) ORDER BY i.id) FROM item i JOIN product p ON p.id = i.product_id WHERE i.order_id = o.id) AS items,
  ARRAY(SELECT e.kind FROM event e WHERE e.order_id = o.id AND e.at IS NOT NULL ORDER BY e.at) AS events,
  (SELECT c.name FROM customer c WHERE c.id = o.customer_id AND (SELECT count(*) FROM block b WHERE b.order_id = o.id) > 0) AS blocked
  FROM orders o;
SELECT * FROM watches('listed');
-- EXISTS, NOT EXISTS, IN, NOT IN, op ANY, op ALL, in conditions and outside
CREATE VIEW existing AS SELECT o.id FROM orders o WHERE EXISTS (SELECT FROM item i WHERE i.order_id = o.id AND i.quantity > 1) AND NOT EXISTS (SELECT FROM block b WHERE b.order_id = o.id);
SELECT * FROM watches('existing');
CREATE VIEW belonging AS SELECT o.id FROM orders o WHERE o.id IN (SELECT i.order_id FROM item i) AND o.customer_id IN (SELECT c.id FROM customer c WHERE c.vip);
SELECT * FROM watches('belonging');
-- a NULL on either side of NOT IN decides too, where there can be one
CREATE VIEW not_belonging AS SELECT o.id FROM orders o WHERE o.id NOT IN (SELECT i.order_id FROM item i) AND o.id NOT IN (SELECT b.order_id FROM block b);
SELECT * FROM watches('not_belonging');
CREATE VIEW belonging_or_not AS SELECT o.id, o.status IN (SELECT e.kind FROM event e) AS known, (o.customer_id, o.id) IN (SELECT i.product_id, i.order_id FROM item i) AS odd FROM orders o;
SELECT * FROM watches('belonging_or_not');
CREATE VIEW compared AS SELECT o.id, o.id = ANY (SELECT b.order_id FROM block b) AS blocked, o.id <> ALL (SELECT e.order_id FROM event e) AS quiet FROM orders o WHERE o.customer_id > ALL (SELECT i.product_id FROM item i WHERE i.order_id = o.id);
SELECT * FROM watches('compared');
-- a way through a sub-select
CREATE VIEW through AS SELECT o.id, p.title FROM orders o CROSS JOIN product p WHERE EXISTS (SELECT FROM item i WHERE i.order_id = o.id AND i.product_id = p.id);
SELECT * FROM watches('through');
-- sub-selects in ON, HAVING, GROUP BY, ORDER BY, LIMIT, CASE, FILTER
CREATE VIEW everywhere AS SELECT o.id, count(*) FILTER (WHERE EXISTS (SELECT FROM block b WHERE b.order_id = o.id)) AS n
  FROM orders o LEFT JOIN item i ON i.order_id = o.id AND EXISTS (SELECT FROM product p WHERE p.id = i.product_id AND NOT p.hidden)
 GROUP BY o.id, (SELECT c.vip FROM customer c WHERE c.id = o.customer_id) HAVING bool_or((SELECT e.kind FROM event e WHERE e.order_id = o.id LIMIT 1) <> 'x');
SELECT * FROM watches('everywhere');

-- aggregates: one document a group
CREATE VIEW grouped AS SELECT o.customer_id AS id, sum(i.price * i.quantity) AS total FROM orders o JOIN item i ON i.order_id = o.id GROUP BY o.customer_id;
SELECT * FROM watches('grouped');
CREATE VIEW pre_grouped AS SELECT o.id, o.status, s.total FROM orders o LEFT JOIN (SELECT i.order_id, sum(i.price) AS total FROM item i JOIN product p ON p.id = i.product_id GROUP BY i.order_id HAVING count(*) > 1) s ON s.order_id = o.id;
SELECT * FROM watches('pre_grouped');
-- the latest of each: a way through an aggregate keeps it whole
CREATE VIEW greatest_of AS SELECT o.id, e.kind FROM orders o JOIN (SELECT order_id, max(id) AS last FROM event GROUP BY order_id) m ON m.order_id = o.id JOIN event e ON e.id = m.last;
SELECT * FROM watches('greatest_of');
CREATE VIEW latest_of AS SELECT o.id, e.kind FROM orders o LEFT JOIN (SELECT DISTINCT ON (order_id) order_id, kind FROM event ORDER BY order_id, at DESC) e ON e.order_id = o.id;
SELECT * FROM watches('latest_of');
CREATE VIEW ranked AS SELECT o.id, e.kind FROM orders o JOIN (SELECT order_id, kind, row_number() OVER (PARTITION BY order_id ORDER BY at) AS n FROM event) e ON e.order_id = o.id AND e.n = 1;
SELECT * FROM watches('ranked');
CREATE VIEW distinct_on AS SELECT DISTINCT ON (o.id) o.id, i.price FROM orders o JOIN item i ON i.order_id = o.id ORDER BY o.id, i.price;
SELECT * FROM watches('distinct_on');
CREATE VIEW windowed AS SELECT DISTINCT o.id, sum(i.price) OVER (PARTITION BY o.id) AS total FROM orders o JOIN item i ON i.order_id = o.id;
SELECT * FROM watches('windowed');
-- equal keys with different texts are one where they are a table's key, and two otherwise
CREATE VIEW numeric_key AS SELECT m.id, count(t.id) AS n FROM money_order m LEFT JOIN transfer t ON t.money_order_id = m.id GROUP BY m.id;
SELECT * FROM watches('numeric_key');
CREATE VIEW numeric_group AS SELECT t.money_order_id AS id, count(*) AS n FROM transfer t GROUP BY 1;
SELECT * FROM watches('numeric_group');

-- set operations, branch by branch
CREATE VIEW united AS SELECT o.id, o.status, 'new' AS origin FROM orders o WHERE NOT o.archived UNION ALL SELECT x.id, x.status, 'old' FROM old_orders x;
SELECT * FROM watches('united');
CREATE VIEW united_and_joined AS SELECT u.id, c.name, u.status FROM (SELECT id, customer_id, status FROM orders UNION ALL SELECT id, customer_id, status FROM old_orders) u JOIN customer c ON c.id = u.customer_id;
SELECT * FROM watches('united_and_joined');
CREATE VIEW merged AS SELECT order_id AS id FROM item UNION SELECT order_id FROM event EXCEPT SELECT order_id FROM block;
SELECT * FROM watches('merged');

-- WITH queries: each use for itself, stored or not; one that uses another, and one inside a sub-select
CREATE VIEW with_queries AS
  WITH paid AS MATERIALIZED (SELECT i.order_id, i.price, p.title FROM item i JOIN product p ON p.id = i.product_id),
       sums AS (SELECT order_id, sum(price) AS total FROM paid GROUP BY order_id)
  SELECT o.id, s.total, (WITH inner_one AS (SELECT title FROM paid WHERE paid.order_id = o.id) SELECT string_agg(title, ',') FROM inner_one) AS titles
    FROM orders o LEFT JOIN sums s ON s.order_id = o.id;
SELECT * FROM watches('with_queries');
DROP SCHEMA derive_subselects CASCADE;
