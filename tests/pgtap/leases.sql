-- Leases: claimed in fair shares, taken over from the silent, never held twice.
BEGIN;
\ir fixture.psql
SELECT plan(33);

SELECT conveyor.create_delivery('d' || n, 'orders', 'search', 'index' || n) FROM generate_series(1, 4) AS n \g /dev/null
SELECT conveyor.alter_delivery('d4', '{"tags": ["blue"]}') \g /dev/null
CREATE FUNCTION pg_temp.synced(agent text) RETURNS text[] LANGUAGE sql AS
    $$ SELECT ARRAY(SELECT e ->> 'delivery' FROM jsonb_array_elements(conveyor.agent_sync(agent, '{}') -> 'deliveries') AS e ORDER BY 1) $$;
CREATE FUNCTION pg_temp.silence(name text) RETURNS void LANGUAGE sql AS
    $$ UPDATE conveyor.agent SET heartbeat_at = clock_timestamp() - conveyor.lease_timeout() - interval '1 s' WHERE agent = name $$;

SELECT throws_ok($$SELECT conveyor.agent_sync('a', '{}')$$, 'CV004', 'agent "a" is not registered', 'an agent registers first');
SELECT conveyor.agent_start('a', 'h', 1, '0', 1, '{}') \g /dev/null
SELECT set_eq($$SELECT conveyor.agent_poll('a')$$, ARRAY['d1', 'd2', 'd3'], 'a poll tells what is free to be taken');
SELECT is(pg_temp.synced('a'), '{d1,d2,d3}', 'one agent alone takes everything but what wants a tag');
SELECT set_eq($$SELECT conveyor.agent_poll('a')$$, ARRAY[]::text[], 'and not any more once it is');
SELECT is(pg_temp.synced('a'), '{d1,d2,d3}', 'and keeps it');
SELECT is((SELECT array_agg(lease ORDER BY delivery) FROM conveyor.delivery_state), '{1,1,1,0}', 'a claim is a new lease, keeping it is none');

SELECT conveyor.agent_start('b', 'h', 2, '0', 1, '{blue}') \g /dev/null
SELECT is(pg_temp.synced('b'), '{d4}', 'a second agent takes what is free');
SELECT is(pg_temp.synced('a'), '{d1,d2}', 'the first one gives back what is more than its share');
SELECT is(pg_temp.synced('b'), '{d3,d4}', 'and the second takes it');
SELECT is(pg_temp.synced('a'), '{d1,d2}', 'then nothing moves');
SELECT is(pg_temp.synced('b'), '{d3,d4}', 'on either side');

-- A report that says nothing new writes nothing.
SELECT conveyor.agent_sync('a', '{"deliveries": {"d1": {"throttle": "429", "documents_per_second": 3, "retries": 2}}}') \g /dev/null
SELECT is((throttle, documents_per_second, retries), ('429'::text, 3::real, 2::bigint), 'a report is taken') FROM conveyor.delivery_state WHERE delivery = 'd1';
CREATE TEMP TABLE before AS SELECT delivery, ctid AS place FROM conveyor.delivery_state;
SELECT conveyor.agent_sync('a', '{"deliveries": {"d1": {"throttle": "429", "documents_per_second": 3, "retries": 0}, "d2": {}}}') \g /dev/null
SELECT is((SELECT count(*) FROM conveyor.delivery_state s JOIN before b USING (delivery) WHERE s.ctid <> b.place), 0::bigint, 'an idle delivery writes nothing');
SELECT conveyor.agent_sync('a', '{"deliveries": {"d1": {"throttle": "429", "documents_per_second": 3, "last_error": "refused", "retries": 1}}}') \g /dev/null
SELECT is((last_error, retries), ('refused'::text, 3::bigint), 'an error is shown, retries add up') FROM conveyor.delivery_state WHERE delivery = 'd1';
SELECT conveyor.agent_sync('a', '{"deliveries": {"d1": {"throttle": "429", "documents_per_second": 3, "retries": 0}}}') \g /dev/null
SELECT is(last_error, NULL, 'and goes when the agent tells of none') FROM conveyor.delivery_state WHERE delivery = 'd1';
SELECT conveyor.agent_sync('b', '{"deliveries": {"d1": {"throttle": "not mine"}}}') \g /dev/null
SELECT is(throttle, '429', 'nobody reports on what another agent holds') FROM conveyor.delivery_state WHERE delivery = 'd1';

-- A silent agent is succeeded; on waking up it can move nothing.
SELECT pg_temp.silence('a') \g /dev/null
SELECT is(pg_temp.synced('b'), '{d1,d2,d3,d4}', 'the deliveries of a silent agent are taken over');
SELECT throws_ok(statement, 'CV001', NULL, statement)
  FROM (VALUES ($$SELECT conveyor.advance('d1', 1, conveyor.latest_snapshot(), 9, '{}', '[]', '{}')$$),
               ($$SELECT conveyor.fence('d1', 1, 1::bigint << 48, '{}')$$),
               ($$SELECT conveyor.range_claim('d1', 1, 1)$$),
               ($$SELECT conveyor.range_finish('d1', 1, 1, 1, 0, 9, '{}', '[]', '{}')$$),
               ($$SELECT conveyor.hold('d1', 1, 'x')$$),
               ($$SELECT conveyor.mark_stale('d1', 1, 'x')$$),
               ($$SELECT conveyor.store_index('d1', 1, '{}')$$)) AS c(statement);

-- An agent that begins anew has lost what its earlier life held; one that leaves gives it back.
SELECT conveyor.agent_stop('b') \g /dev/null
SELECT is((SELECT count(*) FROM conveyor.delivery_state WHERE agent IS NOT NULL), 0::bigint, 'an agent that leaves gives everything back');
SELECT throws_ok($$SELECT conveyor.advance('d1', 2, conveyor.latest_snapshot(), 9, '{}', '[]', '{}')$$, 'CV001', NULL, 'and moves nothing any more');
SELECT conveyor.alter_delivery('d1', '{"tags": ["blue"]}'), conveyor.alter_delivery('d4', '{"tags": null}'), conveyor.agent_start('c', 'h', 3, '0', 1, '{green}') \g /dev/null
SELECT is(pg_temp.synced('c'), '{d2,d3,d4}', 'an agent leaves alone what wants a tag that it has not');
SELECT conveyor.alter_delivery('d3', '{"tags": ["blue"]}') \g /dev/null
SELECT is(pg_temp.synced('c'), '{d2,d4}', 'and gives back what has got one');

-- One name, one process: a second one would move the same leases.
UPDATE conveyor.agent SET backend = (SELECT pid FROM pg_stat_activity WHERE backend_type = 'checkpointer') WHERE agent = 'c';
SELECT throws_ok($$SELECT conveyor.agent_start('c', 'elsewhere', 3, '0', 1, '{}')$$, 'CV003', 'agent "c" is running already', 'the name of a running agent is taken');
SELECT lives_ok($$SELECT conveyor.agent_start('c', 'h', 3, '0', 1, '{}')$$, 'the same process may register again');
UPDATE conveyor.agent SET backend = 0 WHERE agent = 'c';
SELECT lives_ok($$SELECT conveyor.agent_start('c', 'elsewhere', 3, '0', 1, '{}')$$, 'and one whose session is gone is succeeded at once');
SELECT is((SELECT count(*) FROM conveyor.delivery_state WHERE agent = 'c'), 0::bigint, 'without its leases');
SELECT throws_ok($$SELECT conveyor.agent_start('a', 'h', 1, '0', 2, '{}')$$, 'CV002', 'agent and extension do not speak the same protocol', 'protocols must match');

SELECT * FROM finish();
ROLLBACK;
