-- Every administrative act writes one row of the journal, in its own transaction.
BEGIN;
\ir fixture.psql
SELECT plan(5);

TRUNCATE conveyor.journal_entry;
SELECT conveyor.create_target('t', 'ndjson', '{"directory": "/srv/export"}'), conveyor.alter_target('t', '{"file_bytes": "1MB"}'),
       conveyor.create_delivery('d', 'orders', 't'), conveyor.alter_delivery('d', '{"rate": 3}'), conveyor.pause_delivery('d', 'night'),
       conveyor.resume_delivery('d'), conveyor.resync('d', '{1}'), conveyor.resync_all('d') \g /dev/null
SELECT conveyor.pause_resync(id), conveyor.resume_resync(id), conveyor.cancel_resync(id) FROM conveyor.request WHERE kind = 'resync_all' \g /dev/null
SELECT conveyor.agent_start('a', 'h', 1, '0', 1, '{}'), conveyor.agent_stop('a'), conveyor.drop_delivery('d'), conveyor.drop_watch('orders', 'shop.item'),
       conveyor.add_watch('orders', 'shop.item', '{order_id}', 'SELECT order_id FROM changed'), conveyor.drop_feed('orders'), conveyor.drop_target('t') \g /dev/null
SELECT is((SELECT array_agg(action ORDER BY id) FROM conveyor.journal_entry),
    ARRAY['create target', 'alter target', 'create delivery', 'alter delivery', 'pause delivery', 'resume delivery', 'resync', 'resync all',
          'pause resync', 'resume resync', 'cancel resync', 'start agent', 'stop agent', 'drop delivery', 'drop watch', 'add watch', 'drop feed', 'drop target'],
    'one row an act, in order');
SELECT is((SELECT count(*) FROM conveyor.journal WHERE actor <> current_user), 0::bigint, 'each with who did it');
SELECT is(detail, 'rate: null now, 3 asked for', 'each with what it did') FROM conveyor.journal WHERE action = 'alter delivery';
SELECT is(detail, 'night', 'and why') FROM conveyor.journal WHERE action = 'pause delivery';

TRUNCATE conveyor.journal_entry;
SELECT conveyor.create_target('search', 'elasticsearch', '{"url": "http://127.0.0.1:9200"}') \g /dev/null
SELECT is((SELECT count(*) FROM conveyor.journal), 0::bigint, 'what does nothing writes nothing');

SELECT * FROM finish();
ROLLBACK;
