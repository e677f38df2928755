-- A delivery's cursor goes forward, or stays.
BEGIN;
\ir fixture.psql
SELECT plan(10);

SELECT conveyor.create_delivery('d', 'orders', 'search', options => '{"backfill": false}') \g /dev/null
SELECT conveyor.agent_start('a', 'h', 1, '0', 1, '{}') \g /dev/null
SELECT conveyor.agent_sync('a', '{}') \g /dev/null
UPDATE conveyor.delivery_state SET cursor = '100:110:100,105';

CREATE FUNCTION pg_temp.advance(until pg_snapshot) RETURNS void LANGUAGE sql AS
    $$ SELECT conveyor.advance('d', 1, until, 9223372036854775807, '{"sent": 2, "deleted": 1, "superseded": 3, "retries": 4}', '[]', '{}') $$;
SELECT throws_ok(format('SELECT pg_temp.advance(%L)', until), '22023', 'cursor of delivery "d" cannot go back', until || ' does not contain the cursor')
  FROM (VALUES ('100:109:100,105'), ('100:120:100,105,107'), ('90:200:90')) AS c(until);
SELECT is(cursor::text, '100:110:100,105', 'and it stayed where it was') FROM conveyor.delivery_state;
SELECT lives_ok(format('SELECT pg_temp.advance(%L)', until), until || ' contains it')
  FROM (VALUES ('100:110:100,105'), ('105:120:105,111')) AS c(until);
SELECT is(cursor::text, '105:120:105,111', 'the cursor has moved') FROM conveyor.delivery_state;
SELECT is((documents_sent, documents_deleted, superseded, retries), (4::bigint, 2::bigint, 6::bigint, 8::bigint), 'and the counts of what moved it add up') FROM conveyor.delivery_state;

SELECT lives_ok('SELECT pg_temp.advance(NULL)', 'without a new cursor it is a checkpoint');
SELECT is((cursor::text, documents_sent), ('105:120:105,111'::text, 6::bigint), 'which counts and leaves the cursor alone') FROM conveyor.delivery_state;


SELECT * FROM finish();
ROLLBACK;
