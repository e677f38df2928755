-- A database that is not the one it was holds its deliveries until someone confirms; then everything is re-checked.
BEGIN;
\ir fixture.psql
SELECT plan(21);

SELECT conveyor.create_delivery('d', 'orders', 'search', options => '{"backfill": false}') \g /dev/null
SELECT conveyor.agent_start('a', 'h', 1, '0', 1, '{}') \g /dev/null
SELECT conveyor.agent_sync('a', '{}') \g /dev/null
CREATE FUNCTION pg_temp.sync() RETURNS jsonb LANGUAGE sql AS $$ SELECT conveyor.agent_sync('a', '{}') #> '{deliveries,0}' $$;

SELECT is((epoch, confirmed), (1, true), 'the first epoch needs no confirmation') FROM conveyor.identity;
SELECT is(timeline, (SELECT timeline_id FROM pg_control_checkpoint()), 'the timeline is the one of the control file, long after a promotion') FROM conveyor.identity;
SELECT lives_ok($$SELECT conveyor.fence('d', 1, 1::bigint << 48, '{}')$$, 'what was read in this epoch may be sent');
SELECT throws_ok($$SELECT conveyor.fence('d', 1, 2::bigint << 48, '{}')$$, 'CV001', NULL, 'what was read in another may not');

-- A promotion that no agent has noticed yet.
UPDATE conveyor.identity SET timeline = timeline + 1;
SELECT throws_ok($$SELECT conveyor.fence('d', 1, 1::bigint << 48, '{}')$$, 'CV001', NULL, 'a fence does not wait for the notice');
SELECT is(conveyor.wait_delivered('d', '0 s'), false, 'and nothing counts as delivered');
-- A cursor from a lost future.
UPDATE conveyor.delivery_state SET cursor = '4000000000:4000000000:';
SELECT is(d ->> 'state', 'waiting', 'the delivery waits') FROM pg_temp.sync() AS d;
SELECT is((epoch, confirmed), (2, false), 'a new epoch, unconfirmed') FROM conveyor.identity;
SELECT is((state, pending, lag), ('waiting'::text, NULL::bigint, NULL::interval), 'people see it') FROM conveyor.delivery_status;
SELECT alike(throttle, '%SELECT conveyor.confirm_epoch()%', 'and what to run') FROM conveyor.delivery_status;
SELECT ok(cursor::text <> '4000000000:4000000000:', 'the cursor is one of this timeline') FROM conveyor.delivery_state;
SELECT throws_ok($$SELECT conveyor.advance('d', 1, conveyor.latest_snapshot(), 9, '{}', '[]', '{}')$$, 'CV001', NULL, 'the lease of the old epoch moves nothing');
SELECT throws_ok($$SELECT conveyor.fence('d', 2, 2::bigint << 48, '{}')$$, 'CV001', NULL, 'nothing is sent before someone confirms');
SELECT is(pg_temp.sync() ->> 'state', 'waiting', 'it waits on');
SELECT is((SELECT epoch FROM conveyor.identity), 2, 'in the same epoch');

SELECT is(conveyor.confirm_epoch(), 2, 'someone confirms');
SELECT is((d ->> 'state', d ->> 'epoch', d #>> '{requests,0,kind}'), ('stale'::text, '2'::text, 'recheck'::text), 'and a re-check begins, both ways') FROM pg_temp.sync() AS d;
SELECT lives_ok($$SELECT conveyor.fence('d', (SELECT lease FROM conveyor.delivery_state), 2::bigint << 48, '{}')$$, 'documents are sent again');

-- Pairs that fail over by themselves confirm by themselves.
SET LOCAL conveyor.confirm_epoch = 'automatic';
UPDATE conveyor.identity SET system_identifier = system_identifier - 1;
SELECT is((d ->> 'state', d ->> 'epoch'), ('stale'::text, '3'::text), 'confirmed by the setting') FROM pg_temp.sync() AS d;

-- A dump has definitions, but no state.
RESET conveyor.confirm_epoch;
DELETE FROM conveyor.delivery_state;
DELETE FROM conveyor.sender;
UPDATE conveyor.identity SET database = 1;
SELECT pg_temp.sync(), conveyor.confirm_epoch() \g /dev/null
SELECT is(pg_temp.sync() ->> 'state', 'stale', 'a restored delivery is re-checked');
SELECT is((SELECT array_agg(action ORDER BY action, object) FROM conveyor.journal WHERE action LIKE '%epoch'),
    '{"confirm epoch","confirm epoch","new epoch","new epoch","new epoch"}', 'the journal tells of all of it');

SELECT * FROM finish();
ROLLBACK;
