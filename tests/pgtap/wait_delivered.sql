-- wait_delivered() is true when the cursor has everything that was committed before the call, and not a moment sooner.
BEGIN;
\ir fixture.psql
SELECT plan(14);

SELECT conveyor.create_delivery('d', 'orders', 'search', options => '{"backfill": false}') \g /dev/null
SELECT conveyor.agent_start('a', 'h', 1, '0', 1, '{}') \g /dev/null
SELECT conveyor.agent_sync('a', '{}') \g /dev/null
CREATE FUNCTION pg_temp.done() RETURNS boolean LANGUAGE sql AS $$ SELECT conveyor.wait_delivered('d', '20 ms') $$;

SELECT is(pg_temp.done(), true, 'nothing changed, all is delivered');

-- A row of the log, written by a transaction that has ended and that the cursor does not see.
INSERT INTO conveyor.log_0 (xid, flushed_at, capture, changes, kind, entries)
SELECT '3', clock_timestamp() - interval '1 min', (SELECT capture FROM conveyor.capture WHERE relation = 'shop.orders'::regclass AND retired_at IS NULL), 5, 'k', '';
UPDATE conveyor.delivery_state SET cursor = '3:3:';
SELECT is(pg_temp.done(), false, 'an undelivered change is waited for, and the time runs out');
SELECT is((pending, lag >= interval '1 min'), (5::bigint, true), 'delivery_status shows it') FROM conveyor.delivery_status;
SELECT is(conveyor.agent_poll('a'), 'd', 'the agent is told of it');
SELECT conveyor.pause_delivery('d') \g /dev/null
SELECT is((SELECT count(*) FROM conveyor.agent_poll('a')), 0::bigint, 'but not while it is paused');
SELECT conveyor.resume_delivery('d') \g /dev/null
SELECT conveyor.advance('d', 1, '4:4:', 9, '{}', '[{"key": "1", "type": "t", "reason": "r", "attempts": 1}]', '{}') \g /dev/null
SELECT is(pg_temp.done(), true, 'when the cursor has it, it is delivered, or a dead letter');
SELECT is((pending, lag), (0::bigint, interval '0'), 'delivery_status agrees') FROM conveyor.delivery_status;

-- What the log cannot tell.
SELECT conveyor.mark_stale('d', 1, 'x') \g /dev/null
SELECT is(pg_temp.done(), false, 'a stale delivery has not delivered everything');
SELECT is((pending, lag), (NULL::bigint, NULL::interval), 'and its lag is not known') FROM conveyor.delivery_status;
UPDATE conveyor.request SET state = 'finished', finished_at = clock_timestamp();
SELECT is(pg_temp.done(), false, 'being stale is enough, though no re-check is open');
UPDATE conveyor.delivery_state SET stale_at = NULL, stale_reason = NULL;
SELECT is(pg_temp.done(), true, 'cured');
UPDATE conveyor.identity SET confirmed = false;
SELECT is(pg_temp.done(), false, 'nor does an epoch that waits for its confirmation deliver');
UPDATE conveyor.identity SET confirmed = true;
SELECT conveyor.open_request('d', 'backfill', conveyor.latest_snapshot(), 'x') \g /dev/null
SELECT is(pg_temp.done(), false, 'nor has one with an open backfill');
SELECT throws_ok($$SELECT conveyor.wait_delivered('d', '-1 s')$$, '22023', NULL, 'a time-out is not negative');

SELECT * FROM finish();
ROLLBACK;
