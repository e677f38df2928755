-- Keys that a session brings in pieces: nothing is sent before the last one, nothing of a list that is none.
BEGIN;
\ir fixture.psql
SELECT plan(39);

CREATE TABLE shop.line (order_id bigint, line text, PRIMARY KEY (order_id, line));
CREATE TABLE shop.thing (id uuid PRIMARY KEY);
CREATE TYPE shop.colour AS ENUM ('red', 'green');
CREATE TABLE shop.paint (colour shop.colour PRIMARY KEY);
CREATE TABLE shop.word (word text PRIMARY KEY);
CREATE TABLE shop.flag (flag boolean PRIMARY KEY);
SELECT conveyor.create_feed('lines', 'shop.line'), conveyor.create_feed('things', 'shop.thing'), conveyor.create_feed('paints', 'shop.paint'),
       conveyor.create_feed('words', 'shop.word'), conveyor.create_feed('flags', 'shop.flag') \g /dev/null
SELECT conveyor.create_target('files', 'ndjson', '{"directory": "/tmp"}') \g /dev/null
SELECT conveyor.create_delivery(feed, feed, 'search', options => '{"backfill": false}') FROM conveyor.feed_definition \g /dev/null
SELECT conveyor.create_delivery('word_files', 'words', 'files', options => '{"backfill": false}') \g /dev/null
SELECT conveyor.agent_start('a', 'h', 1, '0', 1, '{}'), conveyor.agent_sync('a', '{}') \g /dev/null
CREATE FUNCTION pg_temp.keys(request bigint) RETURNS text[] LANGUAGE sql AS
    $$ SELECT array_agg(k.key ORDER BY p.number, k.n) FROM conveyor.request_page p, unnest(p.keys) WITH ORDINALITY AS k(key, n) WHERE p.request = keys.request $$;
CREATE FUNCTION pg_temp.handed_out() RETURNS bigint LANGUAGE sql AS
    $$ SELECT count(*) FROM jsonb_array_elements(conveyor.agent_deliveries('a')) AS d, jsonb_array_elements(d -> 'requests') $$;
CREATE FUNCTION pg_temp.bad(request bigint, keys text[]) RETURNS text[] LANGUAGE sql AS $$ SELECT array_agg(item || ' ' || problem) FROM conveyor.load_keys(request, keys) $$;

-- The ordinary way.
SELECT conveyor.load_begin('orders', 'file', 'ids.txt') AS request \gset
SELECT is((state, source, keys_total, percent, eta, started_at, reason), ('loading'::text, 'file'::text, NULL::bigint, NULL::numeric, NULL::interval, NULL::timestamptz, 'ids.txt'::text),
    'while keys come, their number is not known') FROM conveyor.resync_status WHERE id = :request;
SELECT is(pg_temp.bad(:request, '{1, 007 ," 8"}'), NULL, 'texts are read as the key''s type');
SELECT is(pg_temp.bad(:request, '{9,x,10,"",99999999999999999999}'),
    ARRAY['2 invalid input syntax for type bigint: "x"', '4 invalid input syntax for type bigint: ""', '5 value "99999999999999999999" is out of range for type bigint'],
    'those that are none are named by their place');
SELECT is(pg_temp.bad(:request, '{}'), NULL, 'no keys are no mistake');
SELECT is(pg_temp.keys(:request), '{1,7,8,9,10}', 'the others are kept, as the ids that documents have');
SELECT is(pg_temp.handed_out(), 0::bigint, 'no agent sees them yet');
SELECT conveyor.tick() \g /dev/null
SELECT is(state, 'loading', 'as long as the session lives, it may take its time') FROM conveyor.resync_status WHERE id = :request;
SELECT throws_ok(format('SELECT conveyor.pause_resync(%s)', :request), '55000', format('cannot pause request %s: it is loading', :request), 'what has not begun cannot pause');
SELECT is(conveyor.load_end(:request), 5::bigint, 'the end says how many');
SELECT is((state, keys_done, keys_total, percent), ('planned'::text, 0::bigint, 5::bigint, 0.0), 'then the total is known') FROM conveyor.resync_status WHERE id = :request;
SELECT is(pg_temp.handed_out(), 1::bigint, 'and an agent gets it');
SELECT is(detail, format('request %s: 5 keys of file ids.txt', :request), 'the journal knows') FROM conveyor.journal LIMIT 1;
SELECT throws_ok(format('SELECT conveyor.load_keys(%s, ''{1}'')', :request), '55000', format('this session does not load request %s', :request), 'nothing comes behind the end');
SELECT throws_ok(format('SELECT conveyor.load_end(%s)', :request), '55000', NULL, 'which comes once');
SELECT throws_ok('SELECT conveyor.load_keys(0, ''{1}'')', '42704', 'request 0 does not exist', 'a request that there is not');
SELECT conveyor.load_begin('orders', 'file', 'empty') AS request \gset
SELECT is(conveyor.load_end(:request), 0::bigint, 'a list may be empty');
SELECT is((state, percent), ('finished'::text, 100.0), 'then there is nothing to do') FROM conveyor.resync_status WHERE id = :request;

-- Other keys.
CREATE FUNCTION pg_temp.loaded(delivery text, keys text[]) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    request bigint := conveyor.load_begin(delivery, 'file', 'x');
    bad     text[] := pg_temp.bad(request, keys);
BEGIN
    RETURN format('%s / %s', pg_temp.keys(request), bad);
END
$$;
SELECT is(pg_temp.loaded('lines', ARRAY['["1","a"]', '["02","\"b\""]', '["1"]', '[1,"a"]', '["1", "a"]', '["x","a"]', '1']),
    $${"[\"1\",\"a\"]","[\"2\",\"\\\"b\\\"\"]"} / {"3 it is no JSON array of 2 strings without blanks, such as [\"a\",\"b\"]","4 it is no JSON array of 2 strings without blanks, such as [\"a\",\"b\"]","5 it is no JSON array of 2 strings without blanks, such as [\"a\",\"b\"]","6 invalid input syntax for type bigint: \"x\"","7 it is no JSON array of 2 strings without blanks, such as [\"a\",\"b\"]"}$$,
    'of several columns: a JSON array of their texts');
SELECT is(pg_temp.loaded('things', ARRAY['A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11', '{a0eebc999c0b4ef8bb6d6bb9bd380a12}', '1']),
    '{a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11,a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a12} / {"3 invalid input syntax for type uuid: \"1\""}', 'uuids, however they are written');
SELECT is(pg_temp.loaded('paints', '{red,blue,green}'), '{red,green} / {"2 invalid input value for enum shop.colour: \"blue\""}', 'values of an enum');
SELECT is(pg_temp.loaded('flags', '{t,0,maybe}'), '{true,false} / {"3 invalid input syntax for type boolean: \"maybe\""}', 'the id is what a cast to text makes');
SELECT is(pg_temp.loaded('words', ARRAY[' a ', 'a', 'ü', '']), '{" a ",a,ü,""} / ', 'of a text nothing is left out');
SELECT is(pg_temp.loaded('words', ARRAY[repeat('ü', 256), repeat('ü', 257)]), format('{%s} / {"2 it has 514 bytes; an id in the target has 512 at most"}', repeat('ü', 256)),
    'an id that a search server would not take is none');
SELECT is(pg_temp.loaded('word_files', ARRAY[repeat('x', 600)]), format('{%s} / ', repeat('x', 600)), 'in a file any id may stand');

-- What turns out to be none.
SELECT conveyor.load_begin('orders', 'file', 'x') AS request \gset
SELECT conveyor.load_keys(:request, '{1,2}'), conveyor.load_fail(:request, 'line 3 is no id') \g /dev/null
SELECT is((state, last_error, finished_at IS NOT NULL), ('failed'::text, 'line 3 is no id'::text, true), 'what failed says why') FROM conveyor.resync_status WHERE id = :request;
SELECT is(pg_temp.keys(:request), NULL, 'and leaves no keys behind');
SELECT throws_ok(format('SELECT conveyor.load_keys(%s, ''{1}'')', :request), '55000', NULL, 'it is over');
SELECT throws_ok(format('SELECT conveyor.resume_resync(%s)', :request), '55000', NULL, 'for good');

SELECT conveyor.load_begin('orders', 'file', 'x') AS request \gset
SELECT conveyor.load_keys(:request, '{1,2}'), conveyor.cancel_resync(:request) \g /dev/null
SELECT is((state, pg_temp.keys(id)), ('cancelled'::text, NULL::text[]), 'it may be cancelled') FROM conveyor.resync_status WHERE id = :request;
SELECT throws_ok(format('SELECT conveyor.load_keys(%s, ''{3}'')', :request), '55000', format('request %s was cancelled', :request), 'and whoever brings keys is told');

SELECT conveyor.load_begin('orders', 'file', 'x') AS request \gset
SELECT conveyor.load_keys(:request, '{1,2}') \g /dev/null
UPDATE conveyor.request SET loader = pg_backend_pid(), loader_since = loader_since - interval '1 s' WHERE id = :request;
SELECT conveyor.tick() \g /dev/null
SELECT is((state, last_error), ('failed'::text, 'the session that brought the keys has ended before the last of them'::text), 'a session that ends without a word has failed')
  FROM conveyor.resync_status WHERE id = :request;
SELECT is(pg_temp.keys(:request), NULL, 'its keys go as well');

-- Who may.
CREATE ROLE oscar; GRANT conveyor_operator TO oscar; CREATE ROLE rita; GRANT conveyor_reader TO rita;
SET ROLE oscar;
SELECT conveyor.load_begin('orders', 'file', 'x') AS request \gset
SELECT lives_ok(format('SELECT conveyor.load_keys(%s, ''{1}'')', :request), 'an operator brings keys');
SELECT is(requested_by, 'oscar', 'under the own name') FROM conveyor.resync_status WHERE id = :request;
SELECT throws_ok($$SELECT conveyor.fail_load(1, 'x')$$, '42501', NULL, 'and calls nothing else');
SELECT throws_ok($$SELECT * FROM conveyor.document_ids('orders', '{1}')$$, '42501', NULL, 'not even to ask');
SET ROLE rita;
SELECT throws_ok($$SELECT conveyor.load_begin('orders', 'file', 'x')$$, '42501', NULL, 'a reader does not');
RESET ROLE;
SELECT throws_ok($$SELECT conveyor.load_begin('x', 'file', 'x')$$, '42704', 'delivery "x" does not exist', 'no delivery, no keys');
SELECT throws_ok($$SELECT conveyor.load_begin('orders', 'moon', 'x')$$, '23514', NULL, 'keys come from a query or a file');

SELECT * FROM finish();
ROLLBACK;
