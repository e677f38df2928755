-- Ranges of a backfill: handed out once, taken over from a lost lease, checkpointed; a re-check is swept at the end.
BEGIN;
\ir fixture.psql
SELECT plan(32);

INSERT INTO shop.orders SELECT n, 'new' FROM generate_series(1, 250) AS n;
SELECT conveyor.create_delivery('d', 'orders', 'search', options => '{"range_size": 100}') \g /dev/null
SELECT conveyor.agent_start('a', 'h', 1, '0', 1, '{}') \g /dev/null
SELECT conveyor.agent_sync('a', '{}') \g /dev/null
CREATE FUNCTION pg_temp.request() RETURNS bigint LANGUAGE sql AS $$ SELECT max(id) FROM conveyor.request $$;
CREATE FUNCTION pg_temp.lease() RETURNS bigint LANGUAGE sql AS $$ SELECT lease FROM conveyor.delivery_state $$;
CREATE FUNCTION pg_temp.claim() RETURNS jsonb LANGUAGE sql AS $$ SELECT conveyor.range_claim('d', pg_temp.lease(), pg_temp.request()) - 'at_least' $$;
CREATE FUNCTION pg_temp.finish(range int, keys int) RETURNS text LANGUAGE sql AS
    $$ SELECT conveyor.range_finish('d', pg_temp.lease(), pg_temp.request(), range, keys, 9223372036854775807, '{"sent": 1}', '[]', '{}') $$;

CREATE FUNCTION pg_temp.untouched() RETURNS boolean LANGUAGE sql AS
    $$ SELECT bool_or((r ->> 'untouched')::boolean) FROM jsonb_array_elements(conveyor.agent_deliveries('a') -> 0 -> 'requests') AS r $$;

SELECT is(state, 'backfilling', 'a new delivery is backfilling') FROM conveyor.delivery_status;
SELECT ok(pg_temp.untouched(), 'a destination that is gone could be made anew');
SELECT is(pg_temp.claim(), '{"range": 1, "first": null, "last": ["100"]}', 'the first range begins at the beginning');
SELECT is(pg_temp.claim(), '{"range": 2, "first": ["100"], "last": ["200"]}', 'the next begins where it ended');
SELECT ok(pg_temp.untouched(), 'also while nothing that was handed out is finished');
SELECT is(pg_temp.finish(1, 100), 'fill', 'others are left');
SELECT ok(NOT pg_temp.untouched(), 'but not when something is');
SELECT throws_ok('SELECT pg_temp.finish(1, 100)', 'CV001', NULL, 'a range is finished once');
SELECT conveyor.resync_all('d') \g /dev/null
SELECT ok(pg_temp.untouched(), 'unless another request begins to send everything');
SELECT conveyor.cancel_resync(pg_temp.request()) \g /dev/null
CREATE OR REPLACE FUNCTION pg_temp.request() RETURNS bigint LANGUAGE sql AS $$ SELECT max(id) FROM conveyor.request WHERE kind <> 'resync_all' $$;

-- Another lease: what was under way is done again, and first.
SELECT conveyor.agent_start('a', 'h', 1, '0', 1, '{}') \g /dev/null
SELECT conveyor.agent_sync('a', '{}') \g /dev/null
SELECT throws_ok('SELECT pg_temp.finish(2, 100)', 'CV001', NULL, 'a range of a lost lease cannot be finished');
SELECT is(pg_temp.claim(), '{"range": 2, "first": ["100"], "last": ["200"]}', 'it is handed out again, first');
SELECT is(pg_temp.claim(), '{"range": 3, "first": ["200"], "last": null}', 'then the last one, which is open');
SELECT is(pg_temp.claim(), NULL, 'then there is none');
SELECT is(pg_temp.finish(3, 50), 'fill', 'the last range may be done before another');
SELECT is(state, 'backfilling', 'which keeps the backfill open') FROM conveyor.delivery_status;
SELECT is(pg_temp.finish(2, 100), 'finished', 'the last one to be done ends the backfill');
SELECT is((state, keys_done), ('finished'::text, 250::bigint), 'the request says so') FROM conveyor.resync_status WHERE id = pg_temp.request();
SELECT is((state, percent), ('live'::text, 100.0), 'the delivery is live') FROM conveyor.delivery_status;

UPDATE conveyor.delivery_state SET index = '{"name": "i", "filling": true}';
SELECT is((state, pending, lag), ('backfilling'::text, NULL::bigint, NULL::interval), 'but not while its index is being filled, by whatever request') FROM conveyor.delivery_status;
UPDATE conveyor.delivery_state SET index = '{"name": "i", "filling": false}';

-- The remedy for a destination that went missing: nothing counts as delivered from the moment of its resumption on.
SELECT conveyor.hold('d', pg_temp.lease(), 'index "i" is missing in the target'), conveyor.resync_all('d'), conveyor.resume_delivery('d') \g /dev/null
SELECT is((state, lag), ('backfilling'::text, NULL::interval), 'sending all again after a hold fills the destination') FROM conveyor.delivery_status;
UPDATE conveyor.delivery_state SET index = '{"name": "i", "filling": false}';
SELECT conveyor.resume_delivery('d') \g /dev/null
SELECT is(state, 'live', 'but not without a hold') FROM conveyor.delivery_status;
SELECT conveyor.cancel_resync(id) FROM conveyor.request WHERE kind = 'resync_all' AND state = 'open' \g /dev/null

-- A re-check goes both ways.
SELECT conveyor.mark_stale('d', pg_temp.lease(), 'shop.orders was truncated') \g /dev/null
SELECT is((state, throttle, pending, lag), ('stale'::text, 're-check: shop.orders was truncated'::text, NULL::bigint, NULL::interval), 'a signal makes the delivery stale')
  FROM conveyor.delivery_status;
SELECT is(pg_temp.claim() -> 'first', 'null', 'everything is read again');
SELECT pg_temp.claim(), pg_temp.claim() \g /dev/null
SELECT throws_ok('SELECT conveyor.sweep_finish(''d'', pg_temp.lease(), pg_temp.request())', '55000', NULL, 'no sweep before all is filled');
SELECT is(ARRAY[pg_temp.finish(1, 100), pg_temp.finish(2, 100), pg_temp.finish(3, 50)], '{fill,fill,sweep}', 'then the sweep begins');
SELECT is((s.state, d.state), ('sweeping'::text, 'stale'::text), 'and the delivery stays stale') FROM conveyor.resync_status s, conveyor.delivery_status d WHERE s.id = pg_temp.request();
SELECT lives_ok('SELECT conveyor.sweep_finish(''d'', pg_temp.lease(), pg_temp.request())', 'until it is swept');
SELECT is(state, 'live', 'then it is live') FROM conveyor.delivery_status;

-- A second signal begins the re-check anew: the first one may have read before it.
SELECT conveyor.mark_stale('d', pg_temp.lease(), 'once') \g /dev/null
SELECT conveyor.mark_stale('d', pg_temp.lease(), 'twice') \g /dev/null
SELECT is((SELECT array_agg(state ORDER BY id) FROM conveyor.request WHERE kind = 'recheck'), '{finished,cancelled,open}', 'one re-check is open');
SELECT is(conveyor.range_claim('d', pg_temp.lease(), pg_temp.request() - 1), NULL, 'the replaced one hands out nothing');
SELECT throws_ok('SELECT conveyor.cancel_resync(pg_temp.request())', '55000', NULL, 'a re-check cannot be cancelled');
SELECT throws_ok('SELECT conveyor.sweep_finish(''d'', pg_temp.lease() - 1, pg_temp.request())', 'CV001', NULL, 'every signal changes the lease');

SELECT * FROM finish();
ROLLBACK;
