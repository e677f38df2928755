-- Deletes stay in the ledger until no older request can land; those of a lost lease are read and sent once more.
BEGIN;
\ir fixture.psql
SELECT plan(24);

SELECT conveyor.create_delivery('d', 'orders', 'search', options => '{"backfill": false}') \g /dev/null
SELECT conveyor.agent_start('a', 'h', 1, '0', 1, '{}') \g /dev/null
SELECT conveyor.agent_sync('a', '{}') \g /dev/null
-- Versions here are counted from the epoch's beginning, above everything this database has reached.
CREATE FUNCTION pg_temp.v(n int) RETURNS bigint LANGUAGE sql AS $$ SELECT (1::bigint << 48) + 1000000000000 + n $$;
CREATE FUNCTION pg_temp.lease() RETURNS bigint LANGUAGE sql AS $$ SELECT lease FROM conveyor.delivery_state $$;
CREATE FUNCTION pg_temp.fence(version int, keys text[]) RETURNS void LANGUAGE sql AS $$ SELECT conveyor.fence('d', pg_temp.lease(), pg_temp.v(version), keys) $$;
CREATE FUNCTION pg_temp.settled(below int) RETURNS void LANGUAGE sql AS
    $$ SELECT conveyor.advance('d', pg_temp.lease(), conveyor.latest_snapshot(), pg_temp.v(below), '{}', '[]', '{}') $$;
CREATE FUNCTION pg_temp.ledger() RETURNS text LANGUAGE sql AS
    $$ SELECT string_agg(key || '@' || version - pg_temp.v(0), ' ' ORDER BY key) FROM conveyor.delete_ledger $$;
CREATE FUNCTION pg_temp.orphans() RETURNS text[] LANGUAGE sql AS $$ SELECT ARRAY(SELECT conveyor.orphan_keys('d', pg_temp.lease(), 100) ORDER BY 1) $$;

SELECT pg_temp.fence(10, '{x,y}') \g /dev/null
SELECT pg_temp.fence(20, '{y,z,z}') \g /dev/null
SELECT is(pg_temp.ledger(), 'x@10 y@20 z@20', 'a delete is entered with its version, the newest counts');
SELECT pg_temp.fence(15, '{z}') \g /dev/null
SELECT is(pg_temp.ledger(), 'x@10 y@20 z@20', 'an older one does not take its place');
SELECT pg_temp.settled(10) \g /dev/null
SELECT is(pg_temp.ledger(), 'x@10 y@20 z@20', 'a request as old as the delete may be the delete');
SELECT pg_temp.settled(11) \g /dev/null
SELECT is(pg_temp.ledger(), 'y@20 z@20', 'an entry goes when everything older is settled');

-- The bound of the present lease: falls with what is read, rises with what is settled.
SELECT pg_temp.settled(30) \g /dev/null
SELECT is(pg_temp.ledger(), NULL, 'all settled');
SELECT pg_temp.fence(40, '{w}') \g /dev/null
SELECT ok(oldest_version <= pg_temp.v(40), 'the bound is not above what was read last') FROM conveyor.delivery_state;

-- The lease is renewed with a request of version 40 or above under way.
UPDATE conveyor.delivery_state SET oldest_version = pg_temp.v(35);
SELECT is(conveyor.renew_lease('d', 1), 2::bigint, 'an agent may end its own lease');
SELECT is((lease, agent), (2::bigint, 'a'::text), 'and goes on under the next') FROM conveyor.delivery_state;
SELECT throws_ok($$SELECT conveyor.renew_lease('d', 1)$$, 'CV001', NULL, 'nobody ends another''s');
SELECT is(ended_at IS NOT NULL, true, 'the sender has ended') FROM conveyor.sender WHERE lease = 1;
SELECT pg_temp.fence(50, '{n}') \g /dev/null
SELECT pg_temp.settled(60) \g /dev/null
SELECT is(pg_temp.ledger(), 'n@50 w@40', 'what is newer than its open requests stays, though the present lease has settled it');
SELECT is(pg_temp.orphans(), '{}', 'its requests may still land: nothing to do yet');
SELECT is(conveyor.agent_sync('a', '{}') #> '{deliveries,0,orphans}', 'false', 'the agent is told so');

UPDATE conveyor.sender SET ended_at = clock_timestamp() - interval '1 hour' WHERE lease = 1;
UPDATE conveyor.delete_ledger SET entered_at = clock_timestamp() - interval '2 hours' WHERE key = 'w';
SELECT is(pg_temp.orphans(), '{w}', 'after orphan_time, keys deleted while they might land are orphans; later ones are not');
SELECT is(conveyor.agent_sync('a', '{}') #> '{deliveries,0,orphans}', 'true', 'the agent is told');
SELECT is((SELECT count(*) FROM conveyor.sender WHERE lease = 1), 1::bigint, 'the sender stays until they are dealt with');
SELECT throws_ok($$SELECT conveyor.orphan_keys('d', 1, 10)$$, 'CV001', NULL, 'only the present lease deals with them');

-- Read and sent again: still gone, so a younger delete takes the entry's place.
SELECT pg_temp.fence(70, '{w}') \g /dev/null
SELECT conveyor.orphans_settled('d', pg_temp.lease(), '{w}') \g /dev/null
SELECT is(pg_temp.orphans(), '{}', 'it is no orphan any more');
SELECT is(pg_temp.ledger(), 'n@50 w@70', 'its younger entry stays as any other');
SELECT is((SELECT count(*) FROM conveyor.sender WHERE lease = 1), 0::bigint, 'the lost sender is forgotten');
SELECT pg_temp.settled(71) \g /dev/null
SELECT is(pg_temp.ledger(), NULL, 'and nothing holds the ledger any more');

-- Sent again by a lease that has sent nothing else, and lost with it: the next one does it again.
UPDATE conveyor.delivery_state SET oldest_version = pg_temp.v(70);
SELECT pg_temp.fence(80, '{v}'), conveyor.renew_lease('d', pg_temp.lease()) \g /dev/null
UPDATE conveyor.sender SET ended_at = clock_timestamp() - interval '1 hour' WHERE ended_at IS NOT NULL;
UPDATE conveyor.delete_ledger SET entered_at = clock_timestamp() - interval '2 hours';
SELECT pg_temp.fence(90, '{v}'), conveyor.renew_lease('d', pg_temp.lease()) \g /dev/null
SELECT is(pg_temp.orphans(), '{}', 'a delete that a lease sent again before it was lost is under way');
UPDATE conveyor.sender SET ended_at = clock_timestamp() - interval '30 min' WHERE lease = pg_temp.lease() - 1;
UPDATE conveyor.delete_ledger SET entered_at = clock_timestamp() - interval '31 min';
SELECT is(pg_temp.orphans(), '{v}', 'after its orphan_time the delete is an orphan again');
DELETE FROM conveyor.delete_ledger;

SELECT conveyor.agent_stop('a') \g /dev/null
SELECT conveyor.agent_start('b', 'h', 1, '0', 1, '{}'), conveyor.agent_sync('b', '{}'), conveyor.agent_stop('b') \g /dev/null
SELECT is((SELECT count(*) FROM conveyor.sender WHERE agent = 'b'), 0::bigint, 'a lease that never sent anything leaves no sender');

SELECT * FROM finish();
ROLLBACK;
