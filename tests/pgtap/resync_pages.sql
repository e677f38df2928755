-- Keys of a request: handed out in order, acknowledged in any portions, whole pages and parts of them.
BEGIN;
\ir fixture.psql
SELECT plan(18);

SELECT conveyor.create_delivery('d', 'orders', 'search', options => '{"backfill": false}') \g /dev/null
SELECT conveyor.agent_start('a', 'h', 1, '0', 1, '{}') \g /dev/null
SELECT conveyor.agent_sync('a', '{}') \g /dev/null
CREATE FUNCTION pg_temp.lease() RETURNS bigint LANGUAGE sql AS $$ SELECT lease FROM conveyor.delivery_state $$;
CREATE FUNCTION pg_temp.ask(request bigint, after bigint, keys int) RETURNS text LANGUAGE sql AS
    $$ SELECT format('%s keys, %s to %s, %s to %s', count(*), min(number), max(number), min(key::int), max(key::int)) FROM conveyor.request_keys('d', pg_temp.lease(), request, after, keys) $$;
CREATE FUNCTION pg_temp.done(request bigint, upto bigint) RETURNS void LANGUAGE sql AS
    $$ SELECT conveyor.request_keys_done('d', pg_temp.lease(), request, upto, 9223372036854775807, '{}', '[]', '{}') $$;
CREATE FUNCTION pg_temp.pages(request bigint) RETURNS text LANGUAGE sql AS
    $$ SELECT string_agg(format('%s+%s', number, cardinality(keys)), ' ' ORDER BY number) FROM conveyor.request_page p WHERE p.request = pages.request $$;

SELECT conveyor.resync('d', ARRAY(SELECT n::text FROM generate_series(1, 2500) AS n) || '{1,2}') AS request \gset
SELECT is(pg_temp.pages(:request), '1+1000 1001+1000 2001+500', 'keys lie in pages of a thousand, each key once');
SELECT is(pg_temp.ask(:request, 0, 40), '40 keys, 1 to 40, 1 to 40', 'fewer than a page may be asked for');
SELECT is(pg_temp.ask(:request, 0, 1500), '1500 keys, 1 to 1500, 1 to 1500', 'and more');
SELECT is(pg_temp.ask(:request, 40, 1000), '1000 keys, 41 to 1040, 41 to 1040', 'from any place on');
SELECT is(pg_temp.ask(:request, 2490, 1000), '10 keys, 2491 to 2500, 2491 to 2500', 'until the end');
SELECT is(pg_temp.ask(:request, 2500, 1000), '0 keys,  to ,  to ', 'behind which there are none');
SELECT pg_temp.done(:request, 40) \g /dev/null
SELECT is(pg_temp.pages(:request), '41+960 1001+1000 2001+500', 'what is acknowledged of a page goes');
SELECT is(keys_done, 40::bigint, 'and is counted') FROM conveyor.resync_status WHERE id = :request;
SELECT is(pg_temp.ask(:request, 40, 10), '10 keys, 41 to 50, 41 to 50', 'the others keep their numbers');
SELECT pg_temp.done(:request, 40) \g /dev/null
SELECT is(keys_done, 40::bigint, 'what is acknowledged twice counts once') FROM conveyor.resync_status WHERE id = :request;
SELECT pg_temp.done(:request, 2001) \g /dev/null
SELECT is(pg_temp.pages(:request), '2002+499', 'whole pages go as well');
SELECT is((keys_done, keys_total, percent, source), (2001::bigint, 2500::bigint, 80.0, 'keys'::text), 'the percentage follows') FROM conveyor.resync_status WHERE id = :request;
SELECT conveyor.pause_resync(:request) \g /dev/null
SELECT is(pg_temp.ask(:request, 2001, 10), '0 keys,  to ,  to ', 'a paused request hands out nothing');
SELECT is(state, 'paused', 'and is no less there') FROM conveyor.resync_status WHERE id = :request;
SELECT conveyor.resume_resync(:request) \g /dev/null
SELECT pg_temp.done(:request, 2500) \g /dev/null
SELECT is((state, keys_done), ('finished'::text, 2500::bigint), 'the last key ends it') FROM conveyor.resync_status WHERE id = :request;

SELECT conveyor.resync('d', ARRAY(SELECT n || repeat('x', 100000) FROM generate_series(1, 10) AS n)) AS request \gset
SELECT is(pg_temp.pages(:request), '1+2 3+3 6+2 8+3', 'a page of long keys has fewer');
SELECT conveyor.cancel_resync(:request) \g /dev/null
SELECT is(pg_temp.pages(:request), NULL, 'what is cancelled leaves no keys behind');
SELECT is(pg_temp.ask(:request, 0, 10), '0 keys,  to ,  to ', 'and hands out none');

SELECT * FROM finish();
ROLLBACK;
