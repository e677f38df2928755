-- create_… with the same definition does nothing, with another one it says what differs; alter_… merges; drop_… refuses what is in use.
BEGIN;
\ir fixture.psql
SELECT plan(29);

SELECT lives_ok($$SELECT conveyor.create_feed('orders', 'shop.order_document', root => 'shop.orders')$$, 'the same feed again');
SELECT lives_ok($$SELECT conveyor.add_watch('orders', 'shop.item', ARRAY['article', 'order_id'], 'SELECT order_id FROM changed')$$,
    'the same watch again, its columns in another order');
SELECT lives_ok($$SELECT conveyor.create_target('search', 'elasticsearch', '{"url": "http://127.0.0.1:9200"}')$$, 'the same target again');
SELECT lives_ok($$SELECT conveyor.create_delivery('d', 'orders', 'search')$$, 'a delivery');
SELECT throws_ok($$SELECT conveyor.create_delivery('u', 'orders', 'search', 'Orders')$$, '42602', 'invalid destination "Orders" in target "search"',
    'a name that no index can have is refused at once');
SELECT throws_ok($$SELECT conveyor.create_delivery('u', 'orders', 'search', '_orders')$$, '42602', 'invalid destination "_orders" in target "search"',
    'nor one that begins with an underscore');
SELECT lives_ok($$SELECT conveyor.create_delivery('d', 'orders', 'search', 'orders', '{}')$$, 'the same delivery again, its default spelled out');
SELECT is((SELECT count(*) FROM conveyor.request), 1::bigint, 'and it was not backfilled twice');

CREATE FUNCTION pg_temp.failure(statement text, OUT message text, OUT detail text, OUT hint text) LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE statement;
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
END $$;
SELECT is(f.message || E'\n' || f.detail, concat_ws(E'\n', 'target "search" exists with another definition', 'options: {"url": "http://127.0.0.1:9200"} now, {"url": "http://other"} asked for'),
    'another target: the difference') FROM pg_temp.failure($$SELECT conveyor.create_target('search', 'elasticsearch', '{"url": "http://other"}')$$) AS f;
SELECT alike(f.hint, '%conveyor.alter_target(''search''%', 'and the command') FROM pg_temp.failure($$SELECT conveyor.create_target('search', 'elasticsearch', '{"url": "http://other"}')$$) AS f;
SELECT is(f.message || E'\n' || f.detail, concat_ws(E'\n', 'delivery "d" exists with another definition', E'destination: "orders" now, "other" asked for\noptions: {} now, {"rate": 1} asked for'),
    'another delivery: every difference') FROM pg_temp.failure($$SELECT conveyor.create_delivery('d', 'orders', 'search', 'other', '{"rate": 1}')$$) AS f;
SELECT is(f.message, 'watch "orders on shop.item" exists with another definition', 'another watch')
  FROM pg_temp.failure($$SELECT conveyor.add_watch('orders', 'shop.item', ARRAY['order_id'], 'SELECT order_id FROM changed')$$) AS f;
SELECT is(f.message || E'\n' || f.detail, concat_ws(E'\n', 'destination "orders" of target "search" is taken', 'Delivery "d" sends there.'), 'two deliveries cannot share a destination')
  FROM pg_temp.failure($$SELECT conveyor.create_delivery('e', 'orders', 'search')$$) AS f;

-- The watch on the root was made by create_feed(); an explicit one replaces it.
SELECT ok(derived, 'the root is watched without being asked for') FROM conveyor.watch WHERE relation = 'shop.orders'::regclass;
SELECT lives_ok($$SELECT conveyor.add_watch('orders', 'shop.orders', ARRAY['id', 'status'], 'SELECT id FROM changed')$$, 'an explicit watch');
SELECT ok(NOT derived, 'replaces it') FROM conveyor.watch WHERE relation = 'shop.orders'::regclass;

SELECT conveyor.alter_delivery('d', '{"rate": 5, "compress": true}') \g /dev/null
SELECT conveyor.alter_delivery('d', '{"rate": null, "in_flight": 2}') \g /dev/null
SELECT is(options, '{"compress": true, "in_flight": 2}', 'alter merges, null takes away') FROM conveyor.delivery_definition;
SELECT throws_ok($$SELECT conveyor.alter_target('search', '{"url": null}')$$, '22023', 'target elasticsearch needs the option "url"', 'what is required stays');

SELECT is(f.message || E'\n' || f.detail, concat_ws(E'\n', 'feed "orders" is in use', 'Its deliveries: d.'), 'a feed in use stays') FROM pg_temp.failure($$SELECT conveyor.drop_feed('orders')$$) AS f;
SELECT is(f.message || E'\n' || f.detail, concat_ws(E'\n', 'target "search" is in use', 'Deliveries that send there: d.'), 'a target in use stays') FROM pg_temp.failure($$SELECT conveyor.drop_target('search')$$) AS f;

SELECT throws_ok(statement, '42704', message, message)
  FROM (VALUES ($$SELECT conveyor.drop_feed('x')$$, 'feed "x" does not exist'),
               ($$SELECT conveyor.drop_delivery('x')$$, 'delivery "x" does not exist'),
               ($$SELECT conveyor.wait_delivered('x')$$, 'delivery "x" does not exist'),
               ($$SELECT conveyor.drop_watch('orders', 'pg_class')$$, 'feed "orders" does not watch pg_class')) AS c(statement, message);

-- Names are never cut.
SELECT throws_ok(format('SELECT conveyor.create_target(%L, %L, %L)', repeat('ä', 32), 'ndjson', '{"directory": "/x"}'), '42622', NULL, '64 bytes are too many');
SELECT throws_ok($$SELECT conveyor.create_target('', 'ndjson', '{"directory": "/x"}')$$, '42602', 'name of a target must not be empty', 'none are too few');
SELECT lives_ok(format('SELECT conveyor.create_target(%L, %L, %L)', repeat('x', 63), 'ndjson', '{"directory": "/x"}'), '63 are right');

SELECT lives_ok($$SELECT conveyor.drop_delivery('d'), conveyor.drop_feed('orders'), conveyor.drop_target('search')$$, 'all of it can be dropped');
SELECT is((SELECT count(*) FROM conveyor.watch) + (SELECT count(*) FROM pg_trigger WHERE tgname LIKE 'conveyor%' AND tgrelid = 'shop.orders'::regclass), 0::bigint,
    'and the tables are free of triggers');

SELECT * FROM finish();
ROLLBACK;
