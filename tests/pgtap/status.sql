-- What people read is true, or NULL.
BEGIN;
\ir fixture.psql
SELECT plan(23);

CREATE FUNCTION pg_temp.columns(name text) RETURNS text LANGUAGE sql AS
    $$ SELECT string_agg(attname, ' ' ORDER BY attnum) FROM pg_attribute WHERE attrelid = ('conveyor.' || name)::regclass AND attnum > 0 $$;
SELECT alike(pg_temp.columns(name), columns || '%', name || ' has the columns that were promised, in their order')
  FROM (VALUES ('delivery_status', 'delivery feed target destination state percent pending lag documents_sent documents_deleted superseded retries dead_letters '
                                   'documents_per_second throttle last_error agent updated_at documents_total eta started_at'),
               ('resync_status', 'id delivery source state keys_done keys_total percent eta requested_by started_at finished_at last_error'),
               ('dead_letter', 'delivery key type reason attempts first_at last_at'),
               ('watch_status', 'relation columns feeds state log_bytes oldest_change'),
               ('agent_status', 'agent host pid version tags heartbeat_age deliveries documents_per_second'),
               ('journal', 'at actor action object detail')) AS v(name, columns);

INSERT INTO shop.orders SELECT n, 'new' FROM generate_series(1, 400) AS n;
ANALYZE shop.orders;
SELECT conveyor.create_delivery('d', 'orders', 'search', options => '{"range_size": 100, "tags": ["blue"]}') \g /dev/null
SELECT is((state, percent, eta, pending, lag, agent), ('backfilling'::text, 0.0, NULL::interval, NULL::bigint, NULL::interval, NULL::text),
    'at first nothing is known but that a backfill is to be done') FROM conveyor.delivery_status;
SELECT alike(throttle, '%no agent works on it%["blue"]', 'and that nobody does it') FROM conveyor.delivery_status;
SELECT is((state, started_at), ('planned'::text, NULL::timestamptz), 'the backfill is planned') FROM conveyor.resync_status;

SELECT conveyor.agent_start('a', 'host', 7, '0.9', 1, '{blue,green}'), conveyor.agent_sync('a', '{}') \g /dev/null
SELECT conveyor.range_claim('d', 1, id), conveyor.range_claim('d', 1, id), conveyor.range_finish('d', 1, id, 1, 100, 1, '{"sent": 100}', '[]', '{}') FROM conveyor.request \g /dev/null
SELECT conveyor.agent_sync('a', '{"deliveries": {"d": {"documents_per_second": 50, "throttle": "rate 50/s"}}, "documents_per_second": 51}') \g /dev/null
SELECT is((percent, documents_total, documents_sent, eta, throttle, agent), (25.0, 400::bigint, 100::bigint, interval '6 s', 'rate 50/s'::text, 'a'::text),
    'under way: percent, time left at the present rate, what slows it') FROM conveyor.delivery_status;
SELECT is((state, percent, eta), ('running'::text, 25.0, interval '6 s'), 'the request says the same') FROM conveyor.resync_status;
SELECT is((host, pid, version, tags, deliveries, documents_per_second), ('host'::text, 7, '0.9'::text, '{blue,green}'::text[], 1::bigint, 51::real), 'the agent is described')
  FROM conveyor.agent_status;
SELECT conveyor.agent_sync('a', '{"deliveries": {"d": {"documents_per_second": 12.3456}}}') \g /dev/null
SELECT is((throttle, documents_per_second), (NULL::text, 12.3::real), 'nothing slows it: no reason, and a rate that can be read') FROM conveyor.delivery_status;

-- More documents than the planner knew of: no percent is better than a wrong one.
UPDATE conveyor.request SET keys_done = 401;
SELECT is((percent, eta), (NULL::numeric, NULL::interval), 'an estimate that was passed says nothing') FROM conveyor.delivery_status;
UPDATE conveyor.request SET keys_done = 400;
SELECT is(percent, 99.9, 'nothing is done before it is finished') FROM conveyor.delivery_status;

-- The first that applies.
UPDATE conveyor.delivery_state SET stale_at = now(), stale_reason = 'truncated';
SELECT is(state, 'stale', 'stale before backfilling') FROM conveyor.delivery_status;
SELECT conveyor.hold('d', 1, 'index "x" is not ours') \g /dev/null
SELECT is((state, throttle), ('waiting'::text, 'index "x" is not ours'::text), 'waiting before stale') FROM conveyor.delivery_status;
SELECT conveyor.pause_delivery('d', 'night') \g /dev/null
SELECT is((state, throttle, eta), ('paused'::text, 'paused: night'::text, NULL::interval), 'paused before waiting') FROM conveyor.delivery_status;

-- A dead agent's figures are no figures.
UPDATE conveyor.agent SET heartbeat_at = clock_timestamp() - interval '1 hour';
SELECT is((documents_per_second, agent), (NULL::real, NULL::text), 'a silent agent delivers nothing') FROM conveyor.delivery_status;
SELECT ok(heartbeat_age > interval '59 min' AND documents_per_second IS NULL, 'and its age shows') FROM conveyor.agent_status;

-- Watches.
SELECT is((columns, feeds, state), ('{id,status}'::text[], '{orders}'::text[], 'capturing'::text), 'a watched table') FROM conveyor.watch_status WHERE relation = 'shop.orders'::regclass;
SET LOCAL conveyor.installing = on;      -- else the event trigger puts it back at once
SELECT conveyor.capture_trigger(capture) AS trigger FROM conveyor.capture WHERE relation = 'shop.orders'::regclass AND retired_at IS NULL \gset
ALTER TABLE shop.orders DISABLE TRIGGER :trigger;
SELECT is(state, 'disabled', 'whose trigger someone switched off') FROM conveyor.watch_status WHERE relation = 'shop.orders'::regclass;
DROP TRIGGER :trigger ON shop.orders;
SELECT is(state, 'missing', 'or took away') FROM conveyor.watch_status WHERE relation = 'shop.orders'::regclass;

SELECT * FROM finish();
ROLLBACK;
