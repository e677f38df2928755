-- DDL that changes documents without a change of any row: the feed follows in the same transaction, and its deliveries re-check.
CREATE SCHEMA kiosk;
SET search_path = kiosk;
CREATE TYPE colour AS ENUM ('red', 'blue');
CREATE TABLE maker (id int PRIMARY KEY, name text NOT NULL);
CREATE TABLE thing (id int PRIMARY KEY, maker int REFERENCES maker, title text, colour colour, price int);
CREATE FUNCTION label(title text) RETURNS text LANGUAGE sql IMMUTABLE RETURN title || '!';
CREATE VIEW thing_maker AS SELECT m.id, m.name FROM maker m;
CREATE VIEW thing_document AS
    SELECT t.id, label(t.title) AS title, t.colour, (SELECT to_jsonb(m) FROM thing_maker m WHERE m.id = t.maker) AS maker FROM thing t;
SELECT conveyor.create_target('shelf', 'ndjson', '{"directory": "/nonexistent"}');
SELECT conveyor.create_feed('things', 'thing_document');
SELECT conveyor.add_watch('things', 'maker', '{id,name}', 'SELECT t.id FROM changed c JOIN thing t ON t.maker = c.id');
SELECT conveyor.create_delivery('things_to_shelf', 'things', 'shelf', options => '{"backfill": false}');
-- What a delivery says of itself since it was asked last; then all is well again.
CREATE FUNCTION test.said() RETURNS TABLE (state text, recheck text, held text) LANGUAGE sql AS $$
    UPDATE conveyor.request SET state = 'finished', finished_at = clock_timestamp() WHERE state = 'open';
    UPDATE conveyor.delivery_state s SET stale_at = NULL, stale_reason = NULL
      FROM (SELECT d.state, s.stale_reason, s.held_reason FROM conveyor.delivery_status d JOIN conveyor.delivery_state s USING (delivery) WHERE d.delivery = 'things_to_shelf') AS was
     WHERE s.delivery = 'things_to_shelf' RETURNING was.*;
$$;
SELECT * FROM test.said();
SELECT * FROM conveyor.audit() WHERE object ~ 'thing';

-- The same again, and what does not concern the documents.
CREATE OR REPLACE VIEW thing_document AS
    SELECT t.id,   label(t.title) AS title,  t.colour,
           (SELECT to_jsonb(m) FROM thing_maker m WHERE m.id = t.maker) AS maker FROM thing t;
CREATE OR REPLACE FUNCTION label(title text) RETURNS text LANGUAGE sql IMMUTABLE RETURN title || '!';
ALTER TYPE colour ADD VALUE 'green';
ALTER TABLE thing RENAME price TO cost;
ALTER TABLE thing ADD weight int DEFAULT 5;
ALTER TABLE maker ADD town text;
CREATE TABLE other (id int);
CREATE VIEW other_view AS SELECT * FROM thing_document;
CREATE OR REPLACE VIEW other_view AS SELECT d.*, 1 AS one FROM thing_document d;
SELECT * FROM test.said();

-- Another query, a view inside, a function, the name of a value.
CREATE OR REPLACE VIEW thing_document AS
    SELECT t.id, label(t.title) AS title, t.colour, (SELECT to_jsonb(m) FROM thing_maker m WHERE m.id = t.maker) AS maker, t.cost FROM thing t;
SELECT * FROM test.said();
CREATE OR REPLACE VIEW thing_maker AS SELECT m.id, upper(m.name) AS name FROM maker m;
SELECT * FROM test.said();
CREATE OR REPLACE FUNCTION label(title text) RETURNS text LANGUAGE sql IMMUTABLE RETURN title || '?';
SELECT * FROM test.said();
ALTER TYPE colour RENAME VALUE 'red' TO 'crimson';
SELECT * FROM test.said();
ALTER VIEW thing_document RENAME title TO name;
SELECT * FROM test.said();
ALTER TABLE thing_document RENAME cost TO price;
SELECT * FROM test.said();
-- A column of the key.
ALTER VIEW thing_document RENAME id TO number;
SELECT * FROM test.said();
SELECT key, root, root_key FROM conveyor.feed_definition WHERE feed = 'things';
SELECT * FROM conveyor.audit() WHERE object ~ 'thing';
-- Rolled back: nothing of it.
BEGIN;
CREATE OR REPLACE VIEW thing_maker AS SELECT m.id, m.name FROM maker m;
ROLLBACK;
SELECT * FROM test.said();

-- A document with whole rows of a table has each of its columns.
CREATE OR REPLACE VIEW thing_document AS
    SELECT t.id AS number, label(t.title) AS name, t.colour, (SELECT to_jsonb(m) FROM maker m WHERE m.id = t.maker) AS maker, t.cost AS price FROM thing t;
SELECT * FROM test.said();
ALTER TABLE maker ADD country text DEFAULT 'unknown';
SELECT * FROM test.said();
ALTER TABLE maker RENAME country TO land;
SELECT * FROM test.said();
ALTER TABLE thing ADD depth int;
SELECT * FROM test.said();

-- The view is dropped: nothing is deleted anywhere, the delivery waits, and goes on when there is a view of that name again.
DROP VIEW thing_document CASCADE;
SELECT * FROM test.said();
SELECT * FROM conveyor.audit() WHERE object ~ 'thing';
SELECT conveyor.resume_delivery('things_to_shelf');
SELECT conveyor.adapt_feed('things');
-- Not one that somebody else has made.
CREATE ROLE conveyor_test_stranger;
GRANT USAGE, CREATE ON SCHEMA kiosk TO conveyor_test_stranger;
SET ROLE conveyor_test_stranger;
CREATE VIEW kiosk.thing_document AS SELECT 1 AS number;
RESET ROLE;
SELECT * FROM test.said();
DROP VIEW thing_document;
-- Nor one without the key.
CREATE VIEW thing_document AS SELECT t.title FROM thing t;
SELECT * FROM test.said();
SELECT * FROM conveyor.audit() WHERE object ~ 'thing';
DROP VIEW thing_document;
-- A column changes its type: the view makes way and comes again, all in one transaction.
BEGIN;
ALTER TABLE thing ALTER id TYPE bigint;
CREATE VIEW thing_document AS SELECT t.id AS number, t.title, (SELECT m.name FROM maker m WHERE m.id = t.maker) AS maker FROM thing t;
COMMIT;
SELECT * FROM test.said();
SELECT key, key_types, root, root_key FROM conveyor.feed_definition WHERE feed = 'things';
SELECT * FROM conveyor.audit() WHERE object ~ 'thing';
-- Made under another name, and renamed into place; or chosen by hand.
DROP VIEW thing_document;
CREATE VIEW thing_document_2 AS SELECT t.id AS number, t.title FROM thing t;
ALTER VIEW thing_document_2 RENAME TO thing_document;
SELECT * FROM test.said();
CREATE VIEW thing_document_3 AS SELECT t.id AS number, t.title, t.cost FROM thing t;
SELECT conveyor.change_view('things', 'thing_document_3');
SELECT * FROM test.said();
SELECT conveyor.change_view('things', 'maker');
SELECT document_view FROM conveyor.feed_definition WHERE feed = 'things';

-- It comes to read another table, which is watched from then on; what is said by hand goes before.
CREATE TABLE review (id int PRIMARY KEY, thing int, stars int);
CREATE OR REPLACE VIEW thing_document_3 AS
    SELECT t.id AS number, t.title, t.cost, (SELECT avg(r.stars) FROM review r WHERE r.thing = t.id) AS stars FROM thing t;
SELECT * FROM test.said();
SELECT conveyor.add_watch('things', 'review', '{thing,stars}', 'SELECT thing FROM changed');
SELECT * FROM test.said();
-- It comes to read what cannot be captured, and then something else again.
CREATE UNLOGGED TABLE fleeting (id int PRIMARY KEY);
CREATE OR REPLACE VIEW thing_document_3 AS
    SELECT t.id AS number, t.title, t.cost, (SELECT avg(r.stars) FROM review r WHERE r.thing = t.id) AS stars FROM thing t WHERE NOT EXISTS (SELECT FROM fleeting f WHERE f.id = t.id);
SELECT * FROM test.said();
SELECT * FROM conveyor.audit() WHERE object ~ 'thing';
SELECT conveyor.resume_delivery('things_to_shelf');
SELECT conveyor.create_delivery('more_things', 'things', 'shelf', 'elsewhere');
SELECT state FROM conveyor.delivery_status WHERE delivery = 'more_things';
SELECT conveyor.drop_delivery('more_things');
CREATE OR REPLACE VIEW thing_document_3 AS
    SELECT t.id AS number, t.title, t.cost, (SELECT avg(r.stars) FROM review r WHERE r.thing = t.id) AS stars FROM thing t;
SELECT * FROM test.said();

-- A key query that was written by hand calls tables and columns by name.
ALTER TABLE review RENAME thing TO about;
SELECT documents FROM conveyor.watch WHERE relation = 'review'::regclass;
SELECT conveyor.add_watch('things', 'maker', '{id,name}', 'SELECT t.id FROM changed c JOIN thing t ON t.maker = c.id');
SELECT * FROM test.said();
ALTER TABLE thing RENAME maker TO made_by;
SELECT * FROM test.said();
SELECT * FROM conveyor.audit() WHERE object ~ 'thing';
SELECT conveyor.drop_watch('things', 'maker');
SELECT * FROM test.said();

-- Also where it names the schema.
SELECT conveyor.add_watch('things', 'maker', '{id,name}', 'SELECT t.id FROM changed c JOIN kiosk.thing t ON t.made_by = c.id');
SELECT * FROM test.said();
ALTER SCHEMA kiosk RENAME TO stand;
SET search_path = stand;
SELECT held FROM test.said();
ALTER SCHEMA stand RENAME TO kiosk;
SET search_path = kiosk;
SELECT held FROM test.said();

-- Unseen, since somebody disabled the event triggers.
ALTER EVENT TRIGGER conveyor_feeds_on_ddl DISABLE;
CREATE OR REPLACE VIEW thing_document_3 AS
    SELECT t.id AS number, upper(t.title) AS title, t.cost, (SELECT avg(r.stars) FROM review r WHERE r.about = t.id) AS stars FROM thing t;
SELECT * FROM test.said();
SELECT * FROM conveyor.audit() WHERE object ~ 'thing|event';
ALTER EVENT TRIGGER conveyor_feeds_on_ddl ENABLE ALWAYS;
SELECT conveyor.adapt_feed('things');
SELECT * FROM test.said();
SELECT * FROM conveyor.audit() WHERE object ~ 'thing|event';

-- Whoever owns the view may change it, without a right on anything of ours.
ALTER VIEW thing_document_3 OWNER TO conveyor_test_stranger;
GRANT SELECT ON ALL TABLES IN SCHEMA kiosk TO conveyor_test_stranger;
SET ROLE conveyor_test_stranger;
CREATE OR REPLACE VIEW thing_document_3 AS
    SELECT t.id AS number, lower(t.title) AS title, t.cost, (SELECT avg(r.stars) FROM review r WHERE r.about = t.id) AS stars FROM thing t;
RESET ROLE;
SELECT * FROM test.said();
SET ROLE conveyor_test_stranger;
DROP VIEW thing_document_3;
CREATE VIEW thing_document_3 AS SELECT t.id AS number, lower(t.title) AS title FROM thing t;
RESET ROLE;
SELECT * FROM test.said();
SELECT * FROM conveyor.audit() WHERE object ~ 'thing';

-- The primary key is another one.
ALTER TABLE thing DROP CONSTRAINT thing_pkey, ADD PRIMARY KEY (id, title);
SELECT * FROM conveyor.audit() WHERE object ~ 'thing|event';
ALTER TABLE kiosk.thing ADD UNIQUE (id);
SELECT * FROM conveyor.audit() WHERE object ~ 'thing|event';
SELECT * FROM test.said();
SELECT key, root, root_key FROM conveyor.feed_definition WHERE feed = 'things';
UPDATE thing SET title = 'x';
SELECT action, object, detail FROM conveyor.journal WHERE object = 'things' AND action IN ('feed adapted', 'feed in trouble', 'change view') ORDER BY at;
SELECT conveyor.drop_delivery('things_to_shelf');
SELECT conveyor.drop_feed('things');
SELECT conveyor.drop_target('shelf');
DROP SCHEMA kiosk CASCADE;
DROP ROLE conveyor_test_stranger;
