-- A delivery in doubt stays in doubt until the re-check that was opened for it is done; nothing else cures it.
BEGIN;
\ir fixture.psql
SELECT plan(9);

SELECT conveyor.create_delivery('d', 'orders', 'search') \g /dev/null
SELECT conveyor.agent_start('a', 'h', 1, '0', 1, '{}') \g /dev/null
SELECT conveyor.agent_sync('a', '{}') \g /dev/null
CREATE FUNCTION pg_temp.lease() RETURNS bigint LANGUAGE sql AS $$ SELECT lease FROM conveyor.delivery_state $$;
CREATE FUNCTION pg_temp.requests() RETURNS text LANGUAGE sql AS $$ SELECT string_agg(kind || ' ' || state, ', ' ORDER BY id) FROM conveyor.request $$;

-- The wider work replaces the narrower.
SELECT conveyor.resync_all('d') \g /dev/null
SELECT is(pg_temp.requests(), 'backfill open, resync_all open', 'two requests send everything');
SELECT conveyor.mark_stale('d', pg_temp.lease(), 'x') \g /dev/null
SELECT is(pg_temp.requests(), 'backfill cancelled, resync_all cancelled, recheck open', 'a re-check does the work of both, and takes away what is too much');

-- Other requests come and go beside it.
SELECT conveyor.resync('d', '{1}') AS keys \gset
SELECT conveyor.request_keys_done('d', pg_temp.lease(), :keys, 9, 9, '{}', '[]', '{}') \g /dev/null
SELECT is(pg_temp.requests(), 'backfill cancelled, resync_all cancelled, recheck open, keys finished', 'keys that were asked for are sent');
SELECT is(state, 'stale', 'which cures nothing') FROM conveyor.delivery_status;
UPDATE conveyor.request SET state = 'finished', finished_at = clock_timestamp() WHERE kind = 'recheck';
UPDATE conveyor.delivery_state SET stale_at = NULL, stale_reason = NULL;
SELECT is(conveyor.wait_delivered('d', '20 ms'), true, 'the re-check does');

-- Everything was sent once, but the index is another one since.
UPDATE conveyor.delivery_state SET index = '{"name": "i", "filling": true}';
SELECT is(conveyor.wait_delivered('d', '20 ms'), false, 'while an index is being filled nothing is delivered');
UPDATE conveyor.delivery_state SET index = '{"name": "i", "filling": false}';

-- What happens between the notice of another identity and its confirmation is delivered by nobody: read from there.
UPDATE conveyor.identity SET system_identifier = system_identifier - 1;
SELECT conveyor.agent_sync('a', '{}') \g /dev/null
SELECT max(id) AS noticed FROM conveyor.request \gset
SELECT is((SELECT kind || ' ' || state FROM conveyor.request WHERE id = :noticed), 'recheck open', 'a new identity asks for a re-check');
SELECT conveyor.confirm_epoch() \g /dev/null
SELECT is((SELECT state FROM conveyor.request WHERE id = :noticed), 'cancelled', 'its confirmation begins it anew');
SELECT is((SELECT state FROM conveyor.request WHERE kind = 'recheck' ORDER BY id DESC LIMIT 1), 'open', 'from that moment');

SELECT * FROM finish();
ROLLBACK;
