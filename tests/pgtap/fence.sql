-- A fence's commit is on disk when it returns, whatever synchronous_commit says, and its xid is younger than what was read.
-- Commits are what this is about, so the file makes things for good and removes them at the end.
\ir fixture.psql
SELECT plan(6);
SELECT conveyor.create_delivery('d', 'orders', 'search', options => '{"backfill": false}') \g /dev/null
SELECT conveyor.agent_start('a', 'h', 1, '0', 1, '{}'), conveyor.agent_sync('a', '{}') \g /dev/null
SELECT conveyor.fence('d', 1, (1::bigint << 48) + 5, '{}') \g /dev/null
SET synchronous_commit = off;

-- Without deletes, and without a bound that must fall, a fence has nothing to write of its own.
SELECT pg_current_xact_id() AS reader, pg_snapshot_xmax(pg_current_snapshot()) AS read \gset
INSERT INTO shop.orders VALUES (1, 'must be durable');
SELECT pg_current_wal_insert_lsn() AS before \gset
SELECT conveyor.fence('d', 1, (1::bigint << 48) + 9, '{}') \g /dev/null
SELECT ok(pg_current_wal_flush_lsn() >= :'before', 'what was written before the fence is flushed');
SELECT is(oldest_version, (1::bigint << 48) + 5, 'the bound stays where it need not fall') FROM conveyor.delivery_state;
SELECT is(current_setting('synchronous_commit'), 'off', 'the session''s setting is its own again');

BEGIN;
SELECT conveyor.fence('d', 1, (1::bigint << 48) + 9, '{}') \g /dev/null
SELECT ok(pg_current_xact_id_if_assigned()::text::bigint >= :'read'::bigint, 'the fence has an xid, younger than the snapshot that was read in');
SELECT is(current_setting('synchronous_commit'), 'on', 'until the commit it is synchronous');
COMMIT;
SELECT conveyor.fence('d', 1, (1::bigint << 48) + 3, '{}') \g /dev/null
SELECT is(oldest_version, (1::bigint << 48) + 3, 'the bound falls where it must') FROM conveyor.delivery_state;

RESET synchronous_commit;
SELECT conveyor.agent_stop('a'), conveyor.drop_delivery('d'), conveyor.drop_feed('orders'), conveyor.drop_target('search') \g /dev/null
DROP SCHEMA shop CASCADE;
SELECT * FROM finish();
