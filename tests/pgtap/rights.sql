-- Rights: nothing for PUBLIC, the roles get what they are for, and nobody changes what others own.
BEGIN;
\ir fixture.psql
SELECT plan(39);

SELECT is((SELECT count(*) FROM pg_proc p, aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) AS a
            WHERE p.pronamespace = 'conveyor'::regnamespace AND a.grantee = 0 AND p.proname NOT IN ('capture', 'capture_truncate')), 0::bigint,
    'no function is granted to PUBLIC but the trigger functions, which making a partition takes');
SELECT is((SELECT count(*) FROM pg_class c, aclexplode(c.relacl) AS a WHERE c.relnamespace = 'conveyor'::regnamespace AND a.grantee = 0), 0::bigint,
    'no relation is granted to PUBLIC');
SELECT is((SELECT string_agg(p.oid::regprocedure::text, ', ') FROM pg_proc p
            WHERE p.pronamespace = 'conveyor'::regnamespace AND p.prolang <> (SELECT oid FROM pg_language WHERE lanname = 'c')
              AND p.prokind <> 'p' AND NOT EXISTS (SELECT FROM unnest(p.proconfig) AS c WHERE c LIKE 'search\_path=%')), NULL,
    'every function pins its search_path; only procedures, which commit, cannot');
SELECT is((SELECT string_agg(p.oid::regprocedure::text, ', ') FROM pg_proc p, aclexplode(p.proacl) AS a
            WHERE p.pronamespace = 'conveyor'::regnamespace AND a.grantee = 'conveyor_agent'::regrole
              AND (has_function_privilege('conveyor_operator', p.oid, 'EXECUTE') OR has_function_privilege('conveyor_reader', p.oid, 'EXECUTE'))
              AND p.proname <> 'tick'), NULL, 'what the agent calls, nobody else does');

CREATE ROLE alice; CREATE ROLE bob; CREATE ROLE oscar; CREATE ROLE rita; CREATE ROLE smith;
GRANT conveyor_operator TO alice, oscar;
GRANT conveyor_reader TO rita;
GRANT conveyor_agent TO smith;
GRANT USAGE ON SCHEMA shop TO alice, bob, oscar;
CREATE TABLE shop.mine (id int PRIMARY KEY);
ALTER TABLE shop.mine OWNER TO alice;
CREATE VIEW shop.mine_document AS SELECT id FROM shop.mine;
CREATE VIEW shop.secret_document AS SELECT id FROM shop.mine;
GRANT SELECT ON shop.mine_document TO alice;
GRANT SELECT ON shop.order_document TO alice;
SELECT conveyor.create_delivery('d', 'orders', 'search') \g /dev/null

-- An owner of tables, who may operate.
SET ROLE alice;
SELECT is(conveyor_caller, 'alice', 'the caller is the role of the moment') FROM (SELECT current_user::text AS conveyor_caller) AS c;
SELECT throws_ok($$SELECT conveyor.create_feed('s', 'shop.secret_document', root => 'shop.mine')$$, '42501', 'permission denied for view shop.secret_document',
    'a feed takes SELECT on the view');
SELECT throws_ok($$SELECT conveyor.create_feed('o', 'shop.order_document', root => 'shop.orders')$$, '42501', 'must be owner of table shop.orders',
    'and the tables that it watches');
SELECT lives_ok($$SELECT conveyor.create_feed('mine', 'shop.mine_document', root => 'shop.mine')$$, 'with both it is made');
SELECT throws_ok($$SELECT conveyor.add_watch('mine', 'shop.item', '{order_id}', 'SELECT order_id FROM changed')$$, '42501', 'must be owner of table shop.item',
    'an explicit watch as well');
SELECT throws_ok($$SELECT conveyor.create_target('t', 'ndjson', '{"directory": "/x"}')$$, '42501', NULL, 'where documents go is not an operator''s to say');
SELECT throws_ok($$SELECT conveyor.create_delivery('m', 'mine', 'search')$$, '42501', 'must be owner of target "search"', 'nor may an operator use others'' targets');
SELECT throws_ok($$SELECT conveyor.agent_start('x', 'h', 1, '0', 1, '{}')$$, '42501', NULL, 'an operator is no agent');
RESET ROLE;
SELECT is(owner, 'alice'::regrole, 'the feed belongs to who made it') FROM conveyor.feed_definition WHERE feed = 'mine';
SELECT is(actor, 'alice', 'and the journal knows') FROM conveyor.journal WHERE action = 'create feed' AND object = 'mine';

-- An operator who owns nothing of it.
SET ROLE oscar;
SELECT lives_ok(statement, statement)
  FROM (VALUES ($$SELECT conveyor.pause_delivery('d', 'maintenance')$$), ($$SELECT conveyor.resume_delivery('d')$$),
               ($$SELECT conveyor.resync('d', '{1}')$$), ($$SELECT conveyor.retry_dead_letters('d')$$), ($$SELECT conveyor.discard_dead_letters('d', '{1}')$$),
               ($$SELECT conveyor.alter_delivery('d', '{"rate": 10}')$$), ($$SELECT * FROM conveyor.delivery_status$$)) AS c(statement);
SELECT throws_ok(statement, '42501', message, message)
  FROM (VALUES ($$SELECT conveyor.alter_delivery('d', '{"tags": ["x"]}')$$, 'must be owner of delivery "d"'),
               ($$SELECT conveyor.drop_delivery('d')$$, 'must be owner of delivery "d"'),
               ($$SELECT conveyor.drop_feed('mine')$$, 'must be owner of feed "mine"'),
               ($$SELECT conveyor.create_delivery('e', 'mine', 'search')$$, 'must be owner of feed "mine"'),
               ($$SELECT conveyor.drop_watch('mine', 'shop.mine')$$, 'must be owner of feed "mine"')) AS c(statement, message);
RESET ROLE;

-- A reader, an agent, and nobody in particular.
SET ROLE rita;
SELECT lives_ok(format('SELECT * FROM conveyor.%I', name), 'a reader reads ' || name)
  FROM unnest(ARRAY['delivery_status', 'resync_status', 'dead_letter', 'watch_status', 'agent_status', 'journal']) AS name;
SELECT lives_ok($$SELECT conveyor.wait_delivered('d', '0 s')$$, 'a reader may wait');
SELECT throws_ok($$SELECT conveyor.pause_delivery('d')$$, '42501', NULL, 'and no more');
SET ROLE smith;
SELECT lives_ok($$SELECT conveyor.agent_start('x', 'h', 1, '0', 1, '{}')$$, 'an agent is an agent');
SELECT lives_ok($$SELECT conveyor.agent_sync('x', '{}')$$, 'and holds leases');
SELECT throws_ok($$SELECT * FROM conveyor.delivery_state$$, '42501', NULL, 'but reads no table');
SELECT throws_ok($$SELECT conveyor.create_feed('x', 'shop.order_document')$$, '42501', NULL, 'and makes nothing');
SET ROLE bob;
SELECT throws_ok($$SELECT * FROM conveyor.delivery_status$$, '42501', NULL, 'nobody in particular sees nothing');
RESET ROLE;

SELECT * FROM finish();
ROLLBACK;
