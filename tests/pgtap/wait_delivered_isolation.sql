-- wait_delivered() would see one snapshot for ever in a REPEATABLE READ transaction, so it says so at once.
BEGIN ISOLATION LEVEL REPEATABLE READ;
\ir fixture.psql
SELECT plan(1);
SELECT conveyor.create_delivery('d', 'orders', 'search', options => '{"backfill": false}') \g /dev/null
SELECT throws_ok($$SELECT conveyor.wait_delivered('d')$$, '25001', 'wait_delivered() cannot run in a REPEATABLE READ transaction', 'a clear error');
SELECT * FROM finish();
ROLLBACK;
