-- A cursor beyond which only other feeds' rows lie is called now and then, so that it does not keep the log for them; with
-- nothing in the log nobody is called. The log is written at commit, so the file makes things for good and removes them at the end.
\ir fixture.psql
SELECT plan(4);
CREATE TABLE shop.note (id int PRIMARY KEY);
CREATE VIEW shop.note_document AS SELECT id FROM shop.note;
SELECT conveyor.create_feed('notes', 'shop.note_document') \g /dev/null
SELECT conveyor.create_delivery(feed, feed, 'search', options => '{"backfill": false}') FROM conveyor.feed_definition \g /dev/null
SELECT conveyor.agent_start('a', 'h', 1, '0', 1, '{}'), conveyor.agent_sync('a', '{}') \g /dev/null
UPDATE conveyor.delivery_state SET cursor = conveyor.latest_snapshot(), advanced_at = clock_timestamp() - interval '1 min';
SELECT set_eq($$SELECT conveyor.agent_poll('a')$$, ARRAY[]::text[], 'with nothing in the log nobody is called');

INSERT INTO shop.orders VALUES (1, 'new');
SELECT set_eq($$SELECT conveyor.agent_poll('a')$$, ARRAY['orders', 'notes'], 'one that has stood for long is called for the rows of others');
UPDATE conveyor.delivery_state SET advanced_at = clock_timestamp();
SELECT set_eq($$SELECT conveyor.agent_poll('a')$$, ARRAY['orders'], 'one that moved of late only for its own');
UPDATE conveyor.delivery_state SET cursor = conveyor.latest_snapshot(), advanced_at = clock_timestamp() - interval '1 min';
SELECT set_eq($$SELECT conveyor.agent_poll('a')$$, ARRAY[]::text[], 'and nobody for what lies inside its cursor');

SELECT conveyor.agent_stop('a'), conveyor.drop_delivery('orders'), conveyor.drop_delivery('notes'), conveyor.drop_feed('orders'),
       conveyor.drop_feed('notes'), conveyor.drop_target('search') \g /dev/null
DROP SCHEMA shop CASCADE;
SELECT * FROM finish();
