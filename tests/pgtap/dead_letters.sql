-- Dead letters: kept with their reason until they are delivered or discarded; too many hold the delivery.
BEGIN;
\ir fixture.psql
SELECT plan(22);

SELECT conveyor.create_delivery('d', 'orders', 'search', options => '{"backfill": false, "dead_letter_limit": 2}') \g /dev/null
SELECT conveyor.agent_start('a', 'h', 1, '0', 1, '{}') \g /dev/null
SELECT conveyor.agent_sync('a', '{}') \g /dev/null
CREATE FUNCTION pg_temp.advance(dead jsonb, revived text[]) RETURNS void LANGUAGE sql AS
    $$ SELECT conveyor.advance('d', 1, conveyor.latest_snapshot(), 9223372036854775807, '{}', dead, revived) $$;

SELECT pg_temp.advance('[{"key": "1", "type": "mapper_parsing_exception", "reason": "no date", "attempts": 1},
                         {"key": "2", "type": "t", "reason": "r"}, {"key": "2", "type": "t", "reason": "r", "attempts": 3}]', NULL) \g /dev/null
SELECT is((SELECT array_agg((key, type, reason, attempts)::text ORDER BY key) FROM conveyor.dead_letter),
    ARRAY['(1,mapper_parsing_exception,"no date",1)', '(2,t,r,3)'], 'a dead letter has its reason, and a key is there once');
SELECT is((state, dead_letters), ('live'::text, 2::bigint), 'the limit may be reached') FROM conveyor.delivery_status;

SELECT pg_temp.advance('[{"key": "1", "type": "other", "reason": "worse", "attempts": 1}]', '{2}') \g /dev/null
SELECT is((key, type, reason, attempts), ('1'::text, 'other'::text, 'worse'::text, 2), 'the latest reason and all attempts; what was delivered is gone') FROM conveyor.dead_letter;

-- Past the limit.
SELECT pg_temp.advance(jsonb_build_array(jsonb_build_object('key', repeat('long', 3000000), 'type', 't', 'reason', 'key too long', 'attempts', 1),
                                         jsonb_build_object('key', '3', 'type', 't', 'reason', 'r', 'attempts', 1)), NULL) \g /dev/null
SELECT is(count(*), 3::bigint, 'a key of any length can be a dead letter') FROM conveyor.dead_letter;
SELECT is(state, 'waiting', 'past the limit the delivery holds itself') FROM conveyor.delivery_status;
SELECT alike(throttle, '%dead_letter_limit%SELECT conveyor.resume_delivery(''d'')%', 'and says why and how to go on') FROM conveyor.delivery_status;
SELECT lives_ok($$SELECT conveyor.resume_delivery('d')$$, 'someone lets it go on');
SELECT is(state, 'live', 'it does') FROM conveyor.delivery_status;
SELECT pg_temp.advance('[]', NULL) \g /dev/null
SELECT is(state, 'live', 'as long as no more come') FROM conveyor.delivery_status;
SELECT pg_temp.advance('[{"key": "3", "type": "t", "reason": "r", "attempts": 1}]', NULL) \g /dev/null
SELECT is(state, 'waiting', 'one more holds it again') FROM conveyor.delivery_status;
SELECT conveyor.alter_delivery('d', '{"dead_letter_limit": 100}'), conveyor.resume_delivery('d') \g /dev/null
SELECT pg_temp.advance('[{"key": "4", "type": "t", "reason": "r", "attempts": 1}]', NULL) \g /dev/null
SELECT is(state, 'live', 'unless the limit was raised') FROM conveyor.delivery_status;

-- Discard and retry.
SELECT is(conveyor.discard_dead_letters('d', ARRAY['4', 'unknown', repeat('long', 3000000)]), 2::bigint, 'discard says how many');
SELECT is(conveyor.retry_dead_letters('d', '{unknown}'), 0::bigint, 'nothing to retry is no request');
SELECT is((SELECT count(*) FROM conveyor.request), 0::bigint, 'indeed');
SELECT is(conveyor.retry_dead_letters('d', '{1,unknown}'), 1::bigint, 'retry these');
SELECT is(conveyor.retry_dead_letters('d'), 2::bigint, 'retry all');
SELECT is((SELECT array_agg((number, key)::text ORDER BY number) FROM conveyor.request_keys('d', 1, (SELECT max(id) FROM conveyor.request), 0, 10)),
    ARRAY['(1,1)', '(2,3)'], 'their keys are sent again');
SELECT is((SELECT count(*) FROM conveyor.dead_letter), 2::bigint, 'and stay dead letters meanwhile');
SELECT conveyor.request_keys_done('d', 1, (SELECT max(id) FROM conveyor.request), 2, 9223372036854775807, '{"sent": 1}',
    '[{"key": "3", "type": "t", "reason": "still", "attempts": 1}]', '{1}') \g /dev/null
SELECT is((key, reason, attempts), ('3'::text, 'still'::text, 3), 'what failed again has one attempt more, what arrived is gone') FROM conveyor.dead_letter;
SELECT is((state, keys_done, percent), ('finished'::text, 2::bigint, 100.0), 'the request is finished') FROM conveyor.resync_status ORDER BY id DESC LIMIT 1;
SELECT throws_ok($$SELECT conveyor.resync('d', '{1,null}')$$, '22004', 'keys must not be null', 'a key is not null');
SELECT conveyor.resync('d', '{}') AS request \gset
SELECT is(state, 'finished', 'no keys are sent at once') FROM conveyor.resync_status WHERE id = :request;

SELECT * FROM finish();
ROLLBACK;
