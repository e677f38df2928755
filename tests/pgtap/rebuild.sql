-- A rebuild: a second delivery fills another index; when its index has taken the name over, the two exchange names. Nothing is
-- switched with documents missing, and there is a way back as long as the old index is kept.
BEGIN;
\ir fixture.psql
SELECT plan(73);

INSERT INTO shop.orders SELECT n, 'new' FROM generate_series(1, 10) AS n;
SELECT conveyor.create_target('files', 'ndjson', '{"directory": "/nowhere"}') \g /dev/null
SELECT conveyor.create_delivery('d', 'orders', 'search') \g /dev/null
SELECT conveyor.create_delivery('f', 'orders', 'files') \g /dev/null
SELECT conveyor.agent_start('a', 'h', 1, '0', 1, '{}') \g /dev/null
SELECT conveyor.agent_sync('a', '{}') \g /dev/null

CREATE FUNCTION pg_temp.lease(delivery text) RETURNS bigint LANGUAGE sql AS $$ SELECT s.lease FROM conveyor.delivery_state s WHERE s.delivery = $1 $$;
CREATE FUNCTION pg_temp.next() RETURNS jsonb LANGUAGE sql AS $$ SELECT conveyor.rebuild_next('d (rebuild)', pg_temp.lease('d (rebuild)')) $$;
CREATE FUNCTION pg_temp.turned() RETURNS void LANGUAGE sql AS $$ SELECT conveyor.rebuild_turned('d (rebuild)', pg_temp.lease('d (rebuild)')) $$;
CREATE FUNCTION pg_temp.make(delivery text, index text) RETURNS void LANGUAGE sql AS
    $$ SELECT conveyor.store_index($1, pg_temp.lease($1), jsonb_build_object('name', $2, 'filling', false)) $$;
CREATE FUNCTION pg_temp.state() RETURNS text LANGUAGE sql AS $$ SELECT state FROM conveyor.rebuild_status ORDER BY id DESC LIMIT 1 $$;
CREATE FUNCTION pg_temp.index_of(delivery text) RETURNS text LANGUAGE sql AS $$ SELECT s.index ->> 'name' FROM conveyor.delivery_state s WHERE s.delivery = $1 $$;
-- What an agent does of a request that sends or compares everything.
CREATE FUNCTION pg_temp.work(delivery text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    asked bigint := (SELECT max(r.id) FROM conveyor.request r WHERE r.delivery = $1 AND r.state = 'open');
    phase text;
BEGIN
    PERFORM conveyor.range_claim($1, pg_temp.lease($1), asked);
    phase := conveyor.range_finish($1, pg_temp.lease($1), asked, 1, 10, 9223372036854775807, '{"sent": 10}', '[]', '{}');
    IF phase = 'sweep' THEN
        PERFORM conveyor.sweep_finish($1, pg_temp.lease($1), asked);
    END IF;
END $$;
CREATE FUNCTION pg_temp.dead(delivery text, keys text[]) RETURNS void LANGUAGE sql AS
    $$ SELECT conveyor.put_dead_letters($1, (SELECT jsonb_agg(jsonb_build_object('key', k, 'type', 't', 'reason', 'r', 'attempts', 1)) FROM unnest($2) AS k)) $$;

-- What cannot be rebuilt.
SELECT throws_ok($$SELECT conveyor.rebuild('x')$$, '42704', 'delivery "x" does not exist', 'there must be such a delivery');
SELECT throws_ok($$SELECT conveyor.rebuild('f')$$, '0A000', 'cannot rebuild delivery "f": its target is of kind ndjson', 'files have no alias that could be switched');
SELECT throws_ok($$SELECT conveyor.rebuild('d')$$, '55000', 'cannot rebuild delivery "d": it has no index yet', 'what was never made is not rebuilt');
SELECT throws_ok($$SELECT conveyor.rollback_rebuild('d')$$, '55000', 'delivery "d" is in no rebuild', 'nor rolled back');
SELECT throws_ok($$SELECT conveyor.resume_rebuild('d')$$, '55000', 'delivery "d" is in no rebuild', 'nor resumed');
SELECT pg_temp.make('d', 'orders-000001') \g /dev/null
SELECT pg_temp.work('d') \g /dev/null

-- A second index, asked for.
SELECT conveyor.alter_delivery('d', '{"index": {"settings": {"number_of_shards": 2}}}') \g /dev/null
SELECT isnt(conveyor.rebuild('d'), NULL, 'a rebuild has a number');
SELECT is(rebuild, 'asked', 'delivery_status shows it') FROM conveyor.delivery_status WHERE delivery = 'd';
SELECT results_eq($$SELECT delivery FROM conveyor.delivery_status ORDER BY 1$$, $$VALUES ('d'), ('f')$$, 'the second index is no delivery of its own there');
SELECT results_eq($$SELECT state, old_index, new_index FROM conveyor.rebuild_status$$, $$VALUES ('asked', 'orders-000001', 'orders-000002')$$, 'rebuild_status has both indices');
SELECT results_eq($$SELECT kind, state, reason FROM conveyor.request WHERE delivery = 'd (rebuild)'$$, $$VALUES ('backfill', 'open', 'rebuild')$$, 'it will get every document');
SELECT is(options, (SELECT options FROM conveyor.delivery_definition WHERE delivery = 'd'), 'by the options of now') FROM conveyor.delivery_definition WHERE rebuild_of = 'd';
SELECT throws_ok($$SELECT conveyor.rebuild('d')$$, '55000', 'delivery "d" is being rebuilt already', 'one at a time');
SELECT throws_ok($$SELECT conveyor.rebuild('d (rebuild)')$$, '55000', '"d (rebuild)" is the second index of delivery "d"', 'the second index is not rebuilt');
SELECT throws_ok($$SELECT conveyor.drop_delivery('d (rebuild)')$$, '55000', NULL, 'nor dropped by itself');
SELECT throws_ok($$SELECT conveyor.alter_delivery('d (rebuild)', '{"rate": 1}')$$, '55000', NULL, 'nor altered');
SELECT throws_ok($$UPDATE conveyor.index_rebuild SET state = 'kept', switched_at = now()$$, '55000', 'a rebuild that is asked cannot become kept', 'nobody leaves out a step');
SELECT is(count(*), 2::bigint, 'what is altered of the delivery is altered for both') FROM (SELECT conveyor.alter_delivery('d', '{"rate": 50}')) AS a, conveyor.delivery_definition WHERE feed = 'orders' AND target = 'search';
SELECT is(count(DISTINCT options), 1::bigint, 'with the same options') FROM conveyor.delivery_definition WHERE target = 'search';

-- What agents are told.
SELECT conveyor.agent_sync('a', '{}') AS answer \gset
SELECT results_eq(format($$SELECT d ->> 'delivery', d ->> 'known_as', d -> 'rebuild' FROM jsonb_array_elements(%L::jsonb -> 'deliveries') AS d WHERE d ->> 'target' = 'search' ORDER BY 1$$, :'answer'),
    $$VALUES ('d', 'd', '{"state": "asked", "beside": false, "index": "orders-000001", "other": "orders-000002", "named": true}'::jsonb),
             ('d (rebuild)', 'd', '{"state": "asked", "beside": true, "index": "orders-000002", "other": "orders-000001", "named": false}')$$,
    'the name is for the old index; the new one is told what to call itself');
SELECT is(pg_temp.next(), NULL, 'nothing to switch');
SELECT is(pg_temp.state(), 'asked', 'it waits for its index');
SELECT pg_temp.make('d (rebuild)', 'orders-000002') \g /dev/null
SELECT is(pg_temp.next(), NULL, 'an index that is filled is not switched to');
SELECT is(pg_temp.state(), 'filling', 'the index is being filled');
SELECT throws_ok($$SELECT conveyor.rebuild_turned('d (rebuild)', pg_temp.lease('d (rebuild)'))$$, '55000', 'the rebuild of delivery "d" is not switching', 'nobody says that it is');
SELECT throws_ok($$SELECT conveyor.rebuild_next('d (rebuild)', 1)$$, 'CV001', NULL, 'under its lease only');
SELECT throws_ok(format('SELECT conveyor.cancel_resync(%s)', (SELECT id FROM conveyor.request WHERE delivery = 'd (rebuild)')), '55000', NULL, 'its fill cannot be cancelled');

-- Paused with the delivery.
SELECT conveyor.pause_delivery('d', 'night') \g /dev/null
SELECT is(count(*), 2::bigint, 'a pause is for both indices') FROM conveyor.delivery_state WHERE paused_reason = 'night';
SELECT conveyor.resume_delivery('d') \g /dev/null
SELECT is(count(*), 0::bigint, 'so is its end') FROM conveyor.delivery_state WHERE paused_at IS NOT NULL;

-- Documents that the new index alone refuses.
SELECT pg_temp.dead('d', '{1}') \g /dev/null
SELECT pg_temp.dead('d (rebuild)', '{1,2,3}') \g /dev/null
SELECT pg_temp.work('d (rebuild)') \g /dev/null
SELECT is(pg_temp.next(), NULL, 'not switched to with documents missing');
SELECT is(pg_temp.state(), 'held', 'it is held');
SELECT matches(throttle, 'orders-000002" refuses 2 documents .*accept_missing', 'and says why, and what to do') FROM conveyor.rebuild_status;
SELECT matches(rebuild, '^held: ', 'in delivery_status too') FROM conveyor.delivery_status WHERE delivery = 'd';
SELECT is(state, 'live', 'where the delivery itself is as live as before') FROM conveyor.delivery_status WHERE delivery = 'd';
SELECT is(documents_refused, 2::bigint, 'what the old index refuses as well does not count') FROM conveyor.rebuild_status;
SELECT is(pg_temp.next(), NULL, 'nothing goes on by itself');
SELECT conveyor.resume_rebuild('d') \g /dev/null
SELECT is(pg_temp.next(), NULL, 'resumed without a change of anything');
SELECT is(pg_temp.state(), 'held', 'it is held again');
SELECT conveyor.drop_dead_letters('d (rebuild)', '{2}') \g /dev/null
SELECT conveyor.resume_rebuild('d', accept_missing => true) \g /dev/null
SELECT is(pg_temp.next(), NULL, 'then keys are compared');
SELECT is(pg_temp.state(), 'verifying', 'before anything is switched');
SELECT is(kind, 'compare', 'by a request of its own') FROM conveyor.request WHERE delivery = 'd (rebuild)' AND state = 'open';
SELECT throws_ok(format('SELECT conveyor.cancel_resync(%s)', (SELECT max(id) FROM conveyor.request)), '55000', NULL, 'which cannot be cancelled');
SELECT ok(NOT (r ->> 'untouched')::boolean, 'nor make a missing index anew')
  FROM jsonb_array_elements(conveyor.agent_deliveries('a')) AS d, jsonb_array_elements(d -> 'requests') AS r WHERE r ->> 'kind' = 'compare';

-- A doubt that comes up meanwhile.
SELECT conveyor.mark_stale('d (rebuild)', pg_temp.lease('d (rebuild)'), 'truncated') \g /dev/null
SELECT is(pg_temp.next(), NULL, 'a stale index is compared in vain');
SELECT is(pg_temp.state(), 'filling', 'everything is sent once more');
SELECT pg_temp.work('d (rebuild)') \g /dev/null
SELECT is(pg_temp.next(), NULL, 'and then compared');
SELECT pg_temp.work('d (rebuild)') \g /dev/null

-- The switch waits for what readers have been told.
INSERT INTO shop.orders VALUES (11, 'new');
UPDATE conveyor.delivery_state SET cursor = conveyor.latest_snapshot() WHERE delivery = 'd';
SELECT is(pg_temp.next(), '{"to": "orders-000002", "from": "orders-000001"}', 'what is complete may be switched to');
SELECT is(pg_temp.state(), 'switching', 'which is recorded before it is done');
SELECT is(d -> 'rebuild' ->> 'named', 'false', 'from now on nobody else touches the name')
  FROM jsonb_array_elements(conveyor.agent_deliveries('a')) AS d WHERE d ->> 'delivery' = 'd';
SELECT is(conveyor.readable('d'), '{d,d (rebuild)}', 'until it is recorded as done, both must have what is said to be delivered');

-- The switch.
INSERT INTO conveyor.delete_ledger (delivery, key, version) VALUES ('d', 'old', 1), ('d (rebuild)', 'new', 1);
UPDATE conveyor.delivery_state SET documents_sent = 1000 WHERE delivery = 'd';
SELECT max(lease) AS greatest FROM conveyor.delivery_state WHERE delivery LIKE 'd%' \gset
SELECT pg_temp.turned() \g /dev/null
SELECT is(pg_temp.state(), 'kept', 'switched: both are kept');
SELECT is(pg_temp.index_of('d') || ' ' || pg_temp.index_of('d (rebuild)'), 'orders-000002 orders-000001', 'the delivery has the new index');
SELECT is(documents_sent, 1000::bigint, 'and its old counters') FROM conveyor.delivery_status WHERE delivery = 'd';
SELECT results_eq($$SELECT delivery, key FROM conveyor.delete_ledger ORDER BY 1$$, $$VALUES ('d', 'new'), ('d (rebuild)', 'old')$$, 'deletes go with their index');
SELECT results_eq($$SELECT delivery, key FROM conveyor.dead_letter ORDER BY 1, 2$$, $$VALUES ('d', '1'), ('d', '3'), ('d (rebuild)', '1')$$, 'so do dead letters');
SELECT ok(min(lease) > :greatest, 'no lease is one that the name had before') FROM conveyor.delivery_state WHERE delivery LIKE 'd%';
SELECT is(count(*), 0::bigint, 'and nobody holds one') FROM conveyor.delivery_state WHERE delivery LIKE 'd%' AND agent IS NOT NULL;
SET CONSTRAINTS ALL IMMEDIATE;
SET CONSTRAINTS ALL DEFERRED;
SELECT is(kept_until - switched_at, interval '1 day', 'for a day, unless told otherwise') FROM conveyor.rebuild_status;
SELECT is(conveyor.readable('d'), '{d}', 'what is delivered is again a matter of one index');

-- The way back, which must not lose anything either.
SELECT conveyor.agent_sync('a', '{}') \g /dev/null
SELECT pg_temp.dead('d (rebuild)', '{7}') \g /dev/null
SELECT throws_ok($$SELECT conveyor.rollback_rebuild('d')$$, '55000', 'index "orders-000001" lacks 1 documents that index "orders-000002" has', 'not back to an index that refuses documents');
SELECT conveyor.rollback_rebuild('d', accept_missing => true) \g /dev/null
SELECT is(pg_temp.state(), 'rolling_back', 'unless that is accepted');
SELECT lives_ok($$SELECT conveyor.rollback_rebuild('d')$$, 'asked for twice');
SELECT is(pg_temp.next(), '{"to": "orders-000001", "from": "orders-000002"}', 'the name goes back');
SELECT pg_temp.turned() \g /dev/null
SELECT is(pg_temp.state() || ' ' || pg_temp.index_of('d') || ' ' || pg_temp.index_of('d (rebuild)'), 'rolled_back orders-000001 orders-000002', 'and everything with it');
SELECT throws_ok($$SELECT conveyor.rollback_rebuild('d')$$, '55000', 'the rebuild of delivery "d" is rolled back already', 'once');

-- Another rebuild does not wait for the rest of the last one.
SELECT conveyor.rebuild('d') \g /dev/null
SELECT results_eq($$SELECT state, new_index FROM conveyor.rebuild_status ORDER BY id$$, $$VALUES ('dropped', 'orders-000002'), ('asked', 'orders-000003')$$, 'its index has another name');
SELECT results_eq($$SELECT index ->> 'name', survivor FROM conveyor.destination_removal$$, $$VALUES ('orders-000002', 'orders-000001')$$, 'and the one before is removed');
SELECT conveyor.rollback_rebuild('d') \g /dev/null
SELECT is(pg_temp.state(), 'cancelled', 'given up before it began');
SELECT is(count(*), 0::bigint, 'nothing of it is left') FROM conveyor.delivery_definition WHERE rebuild_of IS NOT NULL;

-- Kept for rebuild_keep, and no longer.
SELECT conveyor.rebuild('d') \g /dev/null
SELECT conveyor.agent_sync('a', '{}') \g /dev/null
SELECT pg_temp.make('d (rebuild)', 'orders-000004') \g /dev/null
SELECT pg_temp.work('d (rebuild)') \g /dev/null
SELECT pg_temp.next(), pg_temp.work('d (rebuild)') \g /dev/null
SELECT pg_temp.next() \g /dev/null
SELECT pg_temp.turned() \g /dev/null
SELECT conveyor.tick() \g /dev/null
SELECT is(pg_temp.state(), 'kept', 'the old index is kept');
SELECT conveyor.alter_delivery('d', '{"rebuild_keep": "0 s"}') \g /dev/null
SELECT conveyor.tick() \g /dev/null
SELECT is(pg_temp.state(), 'dropped', 'until it has been kept long enough');
SELECT is(r ->> 'survivor', 'orders-000004', 'its remover sees to it that the name leads to the other one')
  FROM jsonb_array_elements(conveyor.agent_removals('a')) AS r WHERE r -> 'index' ->> 'name' = 'orders-000001';

-- Dropped in the middle.
SELECT conveyor.rebuild('d') \g /dev/null
SELECT conveyor.drop_delivery('d') \g /dev/null
SELECT results_eq($$SELECT index ->> 'name', survivor FROM conveyor.destination_removal ORDER BY id DESC LIMIT 1$$, $$VALUES ('orders-000005', 'orders-000004')$$,
    'a second index goes with its delivery, the first one stays');

-- What an exchange takes along: everything that refers to a delivery.
SELECT is((SELECT string_agg(c.conrelid::regclass || '.' || c.conname, ', ') FROM pg_constraint c
            WHERE c.confrelid = 'conveyor.delivery_definition'::regclass AND c.contype = 'f' AND c.confupdtype <> 'c' AND NOT c.condeferred), NULL,
    'every reference to a delivery follows its name (ON UPDATE CASCADE), or is checked when the exchange is over');
SET CONSTRAINTS ALL IMMEDIATE;
SET CONSTRAINTS ALL DEFERRED;

SELECT * FROM finish();
ROLLBACK;
