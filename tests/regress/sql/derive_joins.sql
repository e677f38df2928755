-- Key queries of joins: the smallest connected part of the join graph that leads from a table to the key.
SET client_min_messages = error;
CREATE EXTENSION IF NOT EXISTS pg_conveyor;
CREATE SCHEMA derive_joins;
SET search_path = derive_joins, public;
CREATE TABLE category (id int PRIMARY KEY, name text, secret text);
CREATE TABLE product (id int PRIMARY KEY, category_id int REFERENCES category, title text, active boolean NOT NULL);
CREATE TABLE address (id int PRIMARY KEY, city text, street text);
CREATE TABLE customer (id int PRIMARY KEY, name text, boss int REFERENCES customer, home int REFERENCES address);
CREATE TABLE orders (id bigint PRIMARY KEY, customer_id int REFERENCES customer, billing int REFERENCES address, shipping int REFERENCES address,
                     status text NOT NULL, note text, tags text[]);
CREATE TABLE item (order_id bigint REFERENCES orders, line int, product_id int REFERENCES product, quantity int, PRIMARY KEY (order_id, line));
CREATE TABLE part (order_id bigint, line int, number int, label text, PRIMARY KEY (order_id, line, number), FOREIGN KEY (order_id, line) REFERENCES item);
CREATE TABLE tag (name text PRIMARY KEY, color text);
CREATE FUNCTION watches(view regclass, key text[] DEFAULT '{id}', ignore text[] DEFAULT '{}',
  OUT relation regclass, OUT columns text, OUT documents text) RETURNS SETOF record LANGUAGE sql AS
  $$SELECT relation::regclass, columns::text, coalesce(documents, upper(kind) || ': ' || coalesce(object, '') || ' in ' || coalesce(place, '') || ' ' || coalesce(reason, ''))
      FROM conveyor.follow_view($1, $2, $3) ORDER BY relation::regclass::text, documents$$;

-- inner joins, a chain of several hops; the key is taken from where it is near
CREATE VIEW chain AS
  SELECT o.id, o.status, i.line, p.title, c.name FROM orders o JOIN item i ON i.order_id = o.id JOIN product p ON p.id = i.product_id JOIN category c ON c.id = p.category_id;
SELECT * FROM watches('chain');
-- outer joins of all kinds: what is missing on one side decides too
CREATE VIEW outer_chain AS
  SELECT o.id, p.title, c.name FROM orders o LEFT JOIN item i ON i.order_id = o.id LEFT JOIN product p ON p.id = i.product_id LEFT JOIN category c ON c.id = p.category_id WHERE o.status <> 'draft';
SELECT * FROM watches('outer_chain');
CREATE VIEW from_the_right AS SELECT o.id, c.name FROM customer c RIGHT JOIN orders o ON o.customer_id = c.id AND c.name <> '';
SELECT * FROM watches('from_the_right');
CREATE VIEW anti AS SELECT o.id FROM orders o LEFT JOIN item i ON i.order_id = o.id AND i.quantity > 0 WHERE i.order_id IS NULL;
SELECT * FROM watches('anti');
CREATE VIEW both_sides AS SELECT id, c.name, p.title FROM category c FULL JOIN product p USING (id);
SELECT * FROM watches('both_sides');
CREATE VIEW both_sides_by_another AS SELECT coalesce(c.id, p.id) AS id, c.name, p.title, a.city
  FROM category c FULL JOIN product p ON p.category_id = c.id LEFT JOIN address a ON a.id = coalesce(c.id, p.category_id);
SELECT * FROM watches('both_sides_by_another');
-- the same table reached by two ways; itself
CREATE VIEW two_ways AS SELECT o.id, b.city AS billing, s.city AS shipping FROM orders o JOIN address b ON b.id = o.billing LEFT JOIN address s ON s.id = o.shipping;
SELECT * FROM watches('two_ways');
CREATE VIEW self AS SELECT c.id, c.name, b.name AS boss FROM customer c LEFT JOIN customer b ON b.id = c.boss;
SELECT * FROM watches('self');
-- composite keys on every hop
CREATE VIEW composite AS SELECT i.order_id, i.line, p.label, o.status FROM item i LEFT JOIN part p ON p.order_id = i.order_id AND p.line = i.line JOIN orders o ON o.id = i.order_id;
SELECT * FROM watches('composite', '{order_id,line}');
-- a key of two tables; a join without a condition
CREATE VIEW matrix AS SELECT c.id AS c, t.name AS t, c.name FROM customer c CROSS JOIN tag t WHERE t.color <> 'red';
SELECT * FROM watches('matrix', '{c,t}');
-- conditions that are no equalities, over several tables at once, and over a value that may be missing
CREATE VIEW loose AS SELECT o.id, p.title FROM orders o JOIN product p ON p.id BETWEEN o.billing AND o.shipping;
SELECT * FROM watches('loose');
CREATE VIEW overridden AS SELECT o.id, c.name FROM orders o LEFT JOIN address a ON a.id = o.billing JOIN customer c ON c.id = coalesce(nullif(a.id, 7), o.customer_id);
SELECT * FROM watches('overridden');
-- functions in FROM, VALUES, LATERAL
CREATE VIEW tagged AS SELECT o.id, array_agg(t.color) AS colors FROM orders o, unnest(o.tags) AS u(name) JOIN tag t ON t.name = u.name GROUP BY o.id;
SELECT * FROM watches('tagged');
CREATE VIEW addressed AS SELECT o.id, array_agg(a.city) AS cities FROM orders o CROSS JOIN LATERAL (VALUES (o.billing), (o.shipping)) AS v(id) JOIN address a ON a.id = v.id GROUP BY o.id;
SELECT * FROM watches('addressed');
CREATE VIEW latest AS SELECT o.id, l.line FROM orders o LEFT JOIN LATERAL (SELECT i.line, p.title FROM item i JOIN product p ON p.id = i.product_id WHERE i.order_id = o.id ORDER BY i.line DESC LIMIT 1) l ON true;
SELECT * FROM watches('latest');
-- views over views: what the outer one does not use is not watched
CREATE VIEW inner_view AS SELECT o.id AS number, o.note, c.name, (SELECT max(city) FROM address) AS anywhere, c.home FROM orders o JOIN customer c ON c.id = o.customer_id;
CREATE VIEW outer_view AS SELECT v.number AS id, v.name, a.city FROM inner_view v JOIN address a ON a.id = v.home;
SELECT * FROM watches('outer_view');
-- whole rows; a table instead of a view
CREATE VIEW whole AS SELECT o.id, to_jsonb(c) AS customer FROM orders o JOIN customer c ON c.id = o.customer_id;
SELECT * FROM watches('whole');
SELECT * FROM watches('customer');
-- names that need quotes, and one that is ours
CREATE SCHEMA "Other Schema";
CREATE TABLE "Other Schema".changed ("Id" int PRIMARY KEY, "order" bigint, "a ""b" text);
CREATE VIEW quoted AS SELECT o.id, changed."a ""b" FROM orders o JOIN "Other Schema".changed ON changed."order" = o.id AND changed."a ""b" <> E'it''s\n\\';
SELECT * FROM watches('quoted');
CREATE VIEW quoted_too AS SELECT changed."Id" AS id, o.note FROM orders o JOIN "Other Schema".changed ON changed."order" = o.billing;
SELECT * FROM watches('quoted_too');
DROP SCHEMA derive_joins, "Other Schema" CASCADE;
