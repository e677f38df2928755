-- A delivery that stands still gives the log up before it costs the others theirs.
BEGIN;
\ir fixture.psql
SELECT plan(8);

SELECT conveyor.create_delivery('d' || n, 'orders', 'search', 'index' || n, '{"backfill": false}') FROM generate_series(1, 2) AS n \g /dev/null
SELECT conveyor.agent_start('a', 'h', 1, '0', 1, '{}'), conveyor.agent_sync('a', '{}') \g /dev/null
INSERT INTO conveyor.log_0 (xid, flushed_at, capture, changes, kind, entries)
SELECT '3', clock_timestamp(), (SELECT capture FROM conveyor.capture WHERE relation = 'shop.orders'::regclass AND retired_at IS NULL), 1, 'k', convert_to(string_agg(md5(n::text), ''), 'UTF8')
  FROM generate_series(1, 50000) AS n;
UPDATE conveyor.delivery_state SET cursor = '3:3:';
SELECT conveyor.pause_delivery('d1') \g /dev/null

SET LOCAL conveyor.max_log_size = -1;
SELECT conveyor.agent_sync('a', '{}') \g /dev/null
SELECT is((SELECT count(*) FROM conveyor.delivery_state WHERE stale_at IS NOT NULL), 0::bigint, 'a log without a bound is kept for everybody');
SET LOCAL conveyor.max_log_size = '1GB';
SELECT conveyor.agent_sync('a', '{}') \g /dev/null
SELECT is((SELECT count(*) FROM conveyor.delivery_state WHERE stale_at IS NOT NULL), 0::bigint, 'a log far below its bound as well');

SELECT ok(conveyor.log_size() > 0.75 * 1024 * 1024, 'the log of this test is large enough');
SET LOCAL conveyor.max_log_size = '1MB';
SELECT conveyor.agent_sync('a', '{}') \g /dev/null
SELECT is((SELECT array_agg(delivery) FROM conveyor.delivery_state WHERE stale_at IS NOT NULL), '{d1}', 'near the bound, what is paused gives it up');
SELECT is(cursor::text, '3:3:', 'what is worked on keeps it') FROM conveyor.delivery_state WHERE delivery = 'd2';
SELECT ok(cursor::text <> '3:3:', 'the paused one holds nothing any more') FROM conveyor.delivery_state WHERE delivery = 'd1';
SELECT conveyor.agent_sync('a', '{}') \g /dev/null
SELECT is((SELECT count(*) FROM conveyor.request WHERE delivery = 'd1'), 1::bigint, 'once is enough');
UPDATE conveyor.delivery_state SET advanced_at = clock_timestamp() - interval '1 hour' WHERE delivery = 'd2';
SELECT conveyor.agent_sync('a', '{}') \g /dev/null
SELECT is((SELECT count(*) FROM conveyor.delivery_state WHERE stale_at IS NOT NULL), 2::bigint, 'so does what has not moved for long, as when its target is down');

SELECT * FROM finish();
ROLLBACK;
