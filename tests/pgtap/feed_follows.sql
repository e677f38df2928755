-- create_feed() alone: every table that the view reads is watched, by the columns that it uses; explicit watches win.
BEGIN;
\ir fixture.psql
SELECT plan(40);

CREATE TABLE shop.customer (id int PRIMARY KEY, name text, note text);
CREATE TABLE shop.purchase (id int PRIMARY KEY, customer_id int, total numeric, remark text);
CREATE TABLE shop.settings (name text PRIMARY KEY, value text);
CREATE VIEW shop.named AS SELECT c.id AS number, c.name, c.note FROM shop.customer c;
CREATE VIEW shop.purchase_document AS SELECT p.id, p.total, n.name FROM shop.purchase p LEFT JOIN shop.named n ON n.number = p.customer_id;
CREATE FUNCTION pg_temp.watched(feed text DEFAULT 'purchases') RETURNS SETOF text LANGUAGE sql AS
    $$ SELECT format('%s %s %s: %s', w.relation, w.columns, CASE WHEN w.derived THEN 'derived' ELSE 'explicit' END, w.documents) FROM conveyor.watch w WHERE w.feed = $1 ORDER BY 1 $$;
CREATE FUNCTION pg_temp.refusal(statement text, OUT message text, OUT hint text) LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE statement;
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS message = MESSAGE_TEXT, hint = PG_EXCEPTION_HINT;
END $$;

SELECT lives_ok($$SELECT conveyor.create_feed('purchases', 'shop.purchase_document')$$, 'one call');
SELECT results_eq('SELECT pg_temp.watched()', ARRAY['shop.customer {id,name} derived: SELECT p.id FROM changed c, shop.purchase p WHERE (c.id = p.customer_id)',
                                                    'shop.purchase {id,customer_id,total} derived: SELECT id FROM changed'], 'watches all that the view uses, and no more');
SELECT is((SELECT count(*) FROM pg_trigger t WHERE t.tgname LIKE 'conveyor_capture%' AND t.tgrelid IN ('shop.customer'::regclass, 'shop.purchase'::regclass)), 2::bigint, 'the triggers are there');
SELECT is((SELECT a.columns FROM conveyor.capture a WHERE a.relation = 'shop.customer'::regclass), '{id,name}', 'they compare what counts');
SELECT lives_ok($$SELECT conveyor.create_feed('purchases', 'shop.purchase_document')$$, 'the same again');
SELECT is_empty($$SELECT conveyor.derive_watches('purchases')$$, 'there is nothing to be derived anew');

-- Views inside become others, and columns: the watches follow, and what is right stays as it is.
SELECT conveyor.create_delivery('d', 'purchases', 'search', 'purchases') \g /dev/null
UPDATE conveyor.request SET state = 'finished', finished_at = now();
SELECT lives_ok($$ALTER TABLE shop.customer RENAME name TO title$$, 'a column is renamed');
SELECT results_eq('SELECT pg_temp.watched()', ARRAY['shop.customer {id,title} derived: SELECT p.id FROM changed c, shop.purchase p WHERE (c.id = p.customer_id)',
                                                    'shop.purchase {id,customer_id,total} derived: SELECT id FROM changed'], 'the watch knows');
SELECT lives_ok($$ALTER TABLE shop.purchase RENAME customer_id TO buyer$$, 'a column that another table''s key query names');
SELECT results_eq('SELECT pg_temp.watched()', ARRAY['shop.customer {id,title} derived: SELECT p.id FROM changed c, shop.purchase p WHERE (c.id = p.buyer)',
                                                    'shop.purchase {id,buyer,total} derived: SELECT id FROM changed'], 'so does that');
SELECT is((SELECT count(*) FROM conveyor.request WHERE state = 'open'), 0::bigint, 'no document has become another');
SELECT lives_ok($$CREATE OR REPLACE VIEW shop.named AS SELECT c.id AS number, c.title || c.note AS name, c.note FROM shop.customer c$$, 'an inner view is replaced');
SELECT is((SELECT columns FROM conveyor.watch WHERE relation = 'shop.customer'::regclass), '{id,title,note}', 'what it uses now is watched');
SELECT is((SELECT count(*) FROM conveyor.request WHERE kind = 'recheck' AND state = 'open'), 1::bigint, 'and everything is compared');

-- Explicit watches.
SELECT lives_ok($$SELECT conveyor.add_watch('purchases', 'shop.customer', '{title}', 'SELECT p.id FROM shop.purchase p JOIN changed ON p.buyer = 1 OR changed.title IS NULL')$$, 'one that is written by hand');
SELECT is((SELECT columns FROM conveyor.watch WHERE relation = 'shop.customer'::regclass), '{title}', 'takes the place of the derived one');
SELECT is_empty($$SELECT conveyor.derive_watches('purchases')$$, 'and is kept when the others are derived');
SELECT lives_ok($$SELECT conveyor.drop_watch('purchases', 'shop.customer')$$, 'taken back');
SELECT is((SELECT columns FROM conveyor.watch WHERE relation = 'shop.customer'::regclass AND derived), '{id,title,note}', 'the derived one is there again');
SELECT lives_ok($$SELECT conveyor.drop_watch('purchases', 'shop.customer')$$, 'that one is dropped too');
SELECT is(options, '{"ignore": ["shop.customer"]}', 'by ignoring the table') FROM conveyor.feed_definition WHERE feed = 'purchases';
SELECT lives_ok($$SELECT conveyor.alter_feed('purchases', '{"ignore": ["shop.customer"]}')$$, 'which says the same');
SELECT results_eq('SELECT pg_temp.watched()', ARRAY['shop.purchase {id,buyer,total} derived: SELECT id FROM changed'], 'then it is not watched');
SELECT is((SELECT count(*) FROM pg_trigger t WHERE t.tgname LIKE 'conveyor%' AND t.tgrelid = 'shop.customer'::regclass), 0::bigint, 'and has no trigger');
SELECT is_empty($$SELECT * FROM conveyor.audit() WHERE object ~ 'purchases'$$, 'which is nothing to be warned of');
SELECT throws_ok($$SELECT conveyor.alter_feed('purchases', '{"ignore": ["shop.customr"]}')$$, '22023', 'view shop.purchase_document does not use shop.customr', 'a slip of the pen is no exception');
SELECT lives_ok($$SELECT conveyor.alter_feed('purchases', '{"ignore": null}')$$, 'nothing is ignored');
SELECT is((SELECT count(*) FROM conveyor.watch WHERE feed = 'purchases' AND derived), 2::bigint, 'and all is watched');

-- What the refusal says can be done works.
CREATE VIEW shop.rated AS SELECT p.id, (SELECT s.value FROM shop.settings s WHERE s.name = 'rate') AS rate FROM shop.purchase p;
SELECT throws_ok($$SELECT conveyor.create_feed('rated', 'shop.rated')$$, '0A000', NULL, 'a table that concerns every document');
SELECT lives_ok($$SELECT conveyor.create_feed('rated', 'shop.rated', options => '{"ignore": ["shop.settings"]}'),
                         conveyor.add_watch('rated', 'shop.settings', '{name,value}', 'SELECT r.id FROM changed, shop.purchase AS r')$$, 'is watched by hand');
SELECT results_eq('SELECT pg_temp.watched(''rated'')', ARRAY['shop.purchase {id} derived: SELECT id FROM changed',
                                                             'shop.settings {name,value} explicit: SELECT r.id FROM changed, shop.purchase AS r'], 'beside what is derived');

-- Documents that depend on the clock are compared when it is time, and no earlier.
CREATE TABLE shop.visit (id int PRIMARY KEY, at timestamptz);
CREATE VIEW shop.recent AS SELECT v.id FROM shop.visit v WHERE v.at > now() - interval '90 days' AND v.at::date <= CURRENT_DATE;
SELECT alike(r.hint, 'Say how often all documents are to be compared: options => ''{"recheck_every": "1 day"}''%', 'the time is asked for')
  FROM pg_temp.refusal($$SELECT conveyor.create_feed('recent', 'shop.recent', options => '{"ignore": ["current_date"]}')$$) AS r;
SELECT lives_ok($$SELECT conveyor.create_feed('recent', 'shop.recent', options => '{"recheck_every": "6 h"}')$$, 'and given');
SELECT is(documents, 'SELECT id FROM changed', 'what the time decides bounds no key query') FROM conveyor.watch WHERE feed = 'recent';
SELECT conveyor.create_delivery('r', 'recent', 'search', 'recent', options => '{"backfill": false}') \g /dev/null
SELECT lives_ok('SELECT conveyor.tick()', 'it is early');
SELECT is((SELECT count(*) FROM conveyor.request WHERE delivery = 'r'), 0::bigint, 'nothing is due');
UPDATE conveyor.delivery_definition SET created_at = created_at - interval '6 h' WHERE delivery = 'r';
SELECT lives_ok('SELECT conveyor.tick(), conveyor.tick()', 'it is time');
SELECT is((SELECT array_agg(kind || ' ' || state) FROM conveyor.request WHERE delivery = 'r'), '{recheck open}', 'one comparison begins');
SELECT is((SELECT stale_at FROM conveyor.delivery_state WHERE delivery = 'r'), NULL, 'the delivery is not in doubt');
SELECT throws_ok($$SELECT conveyor.alter_feed('recent', '{"recheck_every": null}')$$, '0A000', NULL, 'the feed cannot do without');

SELECT * FROM finish();
ROLLBACK;
