-- A resync by query: what it may be, whose rights it has, which keys it gives.
BEGIN;
\ir fixture.psql
SELECT plan(54);

CREATE TABLE shop.line (order_id bigint, line text, PRIMARY KEY (order_id, line));
CREATE VIEW shop.line_document AS SELECT order_id, line FROM shop.line;
CREATE TABLE shop.day (day timestamptz PRIMARY KEY);
SELECT conveyor.create_feed('lines', 'shop.line_document'), conveyor.create_feed('days', 'shop.day') \g /dev/null
SELECT conveyor.create_delivery('d', 'orders', 'search', options => '{"backfill": false}'),
       conveyor.create_delivery('lines', 'lines', 'search', options => '{"backfill": false}'),
       conveyor.create_delivery('days', 'days', 'search', options => '{"backfill": false}') \g /dev/null
INSERT INTO shop.orders SELECT n, 'new' FROM generate_series(1, 2500) AS n;
INSERT INTO shop.line VALUES (1, 'a'), (1, 'b "q"'), (2, 'a');
CREATE FUNCTION pg_temp.keys(request bigint) RETURNS text[] LANGUAGE sql AS
    $$ SELECT array_agg(k.key ORDER BY p.number, k.n) FROM conveyor.request_page p, unnest(p.keys) WITH ORDINALITY AS k(key, n) WHERE p.request = keys.request $$;
CREATE FUNCTION pg_temp.sent(delivery text, query text) RETURNS text[] LANGUAGE sql AS $$ SELECT pg_temp.keys(conveyor.resync_query(delivery, query)) $$;

-- Which keys.
SELECT conveyor.resync_query('d', 'SELECT id FROM shop.orders ORDER BY id;  -- all') AS request \gset
SELECT is((SELECT array_agg((p.number, cardinality(p.keys))::text ORDER BY p.number) FROM conveyor.request_page p WHERE p.request = :request),
    '{"(1,1000)","(1001,1000)","(2001,500)"}', 'keys lie in pages');
SELECT is((state, source, keys_done, keys_total, percent, eta, requested_by = session_user, reason),
    ('planned'::text, 'query'::text, 0::bigint, 2500::bigint, 0.0, NULL::interval, true, 'SELECT id FROM shop.orders ORDER BY id;  -- all'::text),
    'the request tells what was asked for, by whom') FROM conveyor.resync_status WHERE id = :request;
SELECT is(detail, format('request %s: 2500 keys of query SELECT id FROM shop.orders ORDER BY id;  -- all', :request), 'so does the journal')
  FROM conveyor.journal LIMIT 1;
SELECT is(conveyor.agent_deliveries('nobody'), '[]', 'no agent, no work');
SELECT conveyor.agent_start('a', 'h', 1, '0', 1, '{}'), conveyor.agent_sync('a', '{}') \g /dev/null
SELECT is((SELECT count(*) FROM conveyor.request_keys('d', (SELECT lease FROM conveyor.delivery_state WHERE delivery = 'd'), :request, 0, 5000)), 2500::bigint,
    'an agent gets them');
SELECT is(pg_temp.sent('d', 'SELECT id::int2 FROM shop.orders WHERE id < 3 ORDER BY id'), '{1,2}', 'another type is cast to the key''s');
SELECT is(pg_temp.sent('d', 'SELECT '' 00''||id FROM shop.orders WHERE id = 7'), '{7}', 'a text is read as the key''s type');
SELECT is(pg_temp.sent('d', 'VALUES (4711), (4712)'), '{4711,4712}', 'keys that the view has not are sent for: their documents go');
SELECT is(pg_temp.sent('d', 'WITH few AS (SELECT id FROM shop.orders WHERE id = 5) SELECT id FROM few UNION ALL SELECT 6'), '{5,6}', 'WITH and UNION may be used');
SELECT is((state, keys_total, percent), ('finished'::text, 0::bigint, 100.0), 'no keys are sent at once') FROM conveyor.resync_status
 WHERE id = conveyor.resync_query('d', 'SELECT id FROM shop.orders WHERE false');
SELECT is(pg_temp.sent('lines', 'SELECT order_id, line FROM shop.line ORDER BY 1, 2'), ARRAY['["1","a"]', '["1","b \"q\""]', '["2","a"]'], 'a key may have several columns');
SELECT is(pg_temp.sent('lines', $$SELECT '["01","a"]'::text$$), ARRAY['["1","a"]'], 'or come as the ids themselves');
SELECT throws_ok($$SELECT pg_temp.sent('lines', 'SELECT ''[1, "a"]''::text')$$, '22P02', 'query of a resync returned "[1, "a"]", which is no id of feed "lines"', 'if they are ids');
SELECT throws_ok($$SELECT pg_temp.sent('d', 'SELECT ''x''::text')$$, '22P02', 'invalid input syntax for type bigint: "x"', 'a text that is no key is refused');
SELECT throws_ok($$SELECT pg_temp.sent('d', 'SELECT nullif(id, 2000) FROM shop.orders')$$, '22004', 'query of a resync returned a key that is null', 'so is a null');
SELECT is((SELECT count(*) FROM conveyor.request WHERE delivery = 'd' AND state = 'loading'), 0::bigint, 'and nothing is left of it');

-- The query has the caller's settings, the ids have ours.
SET TimeZone = 'Asia/Tokyo'; SET DateStyle = 'SQL, DMY';
SELECT is(pg_temp.sent('days', $$SELECT '02/01/2024 09:00'::timestamptz$$), '{"2024-01-02 00:00:00+00"}', 'literals are the caller''s, ids the feed''s');
RESET TimeZone; RESET DateStyle;
SET search_path = shop, public;
SELECT is(pg_temp.sent('d', 'SELECT id FROM orders WHERE id = 9'), '{9}', 'names are found in the caller''s search path');
SET search_path = public;

-- What is refused, before anything runs.
CREATE FUNCTION shop.careless(id bigint) RETURNS boolean LANGUAGE sql AS $$ INSERT INTO shop.orders VALUES (-1, 'planted') RETURNING true $$;
CREATE FUNCTION shop.planted(id bigint) RETURNS boolean LANGUAGE plpgsql STABLE AS $$ BEGIN PERFORM shop.careless(id); RETURN true; END $$;
CREATE VIEW shop.careless_view AS SELECT id FROM shop.orders WHERE shop.careless(id);
SELECT throws_ok(format('SELECT conveyor.resync_query(''d'', %L)', query), state, message, message)
  FROM (VALUES ('SELECT id FROM', '42601', 'syntax error at end of input'),
               ('SELECT 1; SELECT 2', '42601', 'query of a resync must be one statement, not 2'),
               ('', '42601', 'query of a resync must be one statement, not 0'),
               ('DELETE FROM shop.orders RETURNING id', '42601', 'query of a resync must be a SELECT'),
               ('SELECT id INTO shop.copy FROM shop.orders', '42601', 'query of a resync must be a SELECT'),
               ('SELECT id FROM shop.orders) AS q(k1); DROP TABLE shop.orders; --', '42601', 'syntax error at or near ")"'),
               ('WITH gone AS (DELETE FROM shop.orders RETURNING id) SELECT id FROM gone', '22023', 'query of a resync must not change anything: "gone" does'),
               ('SELECT id FROM shop.orders FOR UPDATE', '22023', 'query of a resync must not lock rows'),
               ('SELECT id FROM (SELECT id FROM shop.orders FOR SHARE) AS s', '22023', 'query of a resync must not lock rows'),
               ('SELECT id FROM shop.orders WHERE id = $1', '42P02', 'there is no parameter $1'),
               ('SELECT ident FROM shop.orders', '42703', 'column "ident" does not exist'),
               ('SELECT id, status FROM shop.orders', '22023', 'query of a resync returns 2 columns, the key of feed "orders" has 1'),
               ('SELECT FROM shop.orders', '22023', 'query of a resync returns no column'),
               ('SELECT now() FROM shop.orders', '22023', 'column 1 of the query of a resync is of type timestamp with time zone, the key''s column "id" of type bigint'),
               ('SELECT id FROM shop.orders WHERE shop.careless(id)', '22023', 'query of a resync uses the volatile function careless(), which may do more than return keys'),
               ('SELECT id FROM shop.careless_view', '22023', 'query of a resync uses the volatile function careless(), in a view that it reads, which may do more than return keys'),
               ('SELECT nextval(''shop.seq'')', '42P01', 'relation "shop.seq" does not exist'),
               ('SELECT id FROM shop.orders WHERE shop.planted(id)', '25006', 'cannot execute INSERT in a read-only transaction')) AS c(query, state, message);
SELECT is((SELECT count(*) FROM shop.orders), 2500::bigint, 'nothing was written');
SELECT throws_ok($$SELECT conveyor.resync_query('d', NULL)$$, '22004', 'query of a resync must not be null', 'no query is no query');
SELECT throws_ok($$SELECT conveyor.resync_query('x', 'SELECT 1')$$, '42704', 'delivery "x" does not exist', 'no delivery');
INSERT INTO shop.orders VALUES (3000, 'new');
SELECT lives_ok($$INSERT INTO shop.orders VALUES (3001, 'new')$$, 'afterwards the session writes as before');

-- Findings of lint_query.
CREATE FUNCTION pg_temp.lint(query text, delivery text DEFAULT NULL, trial boolean DEFAULT true) RETURNS text[] LANGUAGE sql AS
    $$ SELECT array_agg(format('%s %s: %s', severity, position, problem)) FROM conveyor.lint_query(query, delivery, trial) $$;
SELECT is(pg_temp.lint('SELECT id FROM shop.orders', 'd'), NULL, 'nothing speaks against a good query');
SELECT is(pg_temp.lint(E'SELECT id\nFROM shop.order', 'd'), '{"error 16: relation \"shop.order\" does not exist"}', 'a finding has its place');
SELECT is(pg_temp.lint('SELECT "ü" FRM x'), '{"error 16: syntax error at or near \"x\""}', 'counted in characters');
SELECT is(pg_temp.lint('SELECT id FROM shop.orders WHERE random() < 0.5', 'd'),
    '{"warning 34: query of a resync uses the volatile function random(), so it returns other keys each time"}', 'a sample is a surprise, and no error');
SELECT is(pg_temp.lint('SELECT id FROM shop.orders WHERE shop.careless(id) FOR UPDATE', 'd'),
    '{"error : query of a resync must not lock rows","error 34: query of a resync uses the volatile function careless(), which may do more than return keys"}', 'all that is wrong is said');
SELECT is(pg_temp.lint('SELECT 1 / (id - id) FROM shop.orders', 'd'), '{"error : division by zero"}', 'a trial shows what fails when it runs');
SELECT is(pg_temp.lint('SELECT 1 / (id - id) FROM shop.orders', 'd', false), NULL, 'without it nothing is run');
SELECT is(pg_temp.lint('SELECT id, status FROM shop.orders'), NULL, 'without a delivery any columns will do');
SELECT is((SELECT array_agg(remedy) FROM conveyor.lint_query('SELECT id, status FROM shop.orders', 'd')),
    '{"Return the key''s columns in their order and nothing else: SELECT id FROM ..."}', 'with one it says what is wanted');

-- Whose rights: the caller's, not those of the feed's owner, nor of whoever made the extension.
CREATE ROLE oscar; GRANT conveyor_operator TO oscar; CREATE ROLE rita; GRANT conveyor_reader TO rita;
CREATE FUNCTION shop.escape(id bigint) RETURNS boolean LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN set_config('role', 'none', false) IS NOT NULL; END $$;
CREATE TABLE shop.visible (id bigint); INSERT INTO shop.visible VALUES (1); GRANT USAGE ON SCHEMA shop TO oscar; GRANT SELECT ON shop.visible TO oscar;
SET ROLE oscar;
SELECT throws_ok($$SELECT conveyor.resync_query('d', 'SELECT id FROM shop.orders')$$, '42501', 'permission denied for table orders', 'an operator reads what an operator may read');
SELECT lives_ok($$SELECT conveyor.resync_query('d', 'SELECT id FROM shop.visible')$$, 'and sends that');
SELECT throws_ok($$SELECT conveyor.resync_query('d', 'SELECT id FROM shop.visible WHERE set_config(''role'', ''none'', false) IS NOT NULL')$$, '22023', NULL, 'no function may change settings');
SELECT throws_ok($$SELECT conveyor.resync_query('d', 'SELECT id FROM shop.visible WHERE shop.escape(id)')$$, '42501',
    'cannot set parameter "role" within security-definer function', 'least of all back to who logged in');
SET ROLE rita;
SELECT throws_ok($$SELECT conveyor.resync_query('d', 'SELECT 1')$$, '42501', NULL, 'a reader sends nothing');
SELECT is((SELECT array_agg(problem) FROM conveyor.lint_query('SELECT id FROM shop.orders')), '{"permission denied for schema shop"}', 'but may ask what is wrong with a query');
RESET ROLE;

SELECT * FROM finish();
ROLLBACK;
