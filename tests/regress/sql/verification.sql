-- The state of a verification: who may work on it, what it remembers, and what becomes of a run that was killed.
SET client_min_messages = error;
CREATE EXTENSION IF NOT EXISTS pg_conveyor;
CREATE SCHEMA verification;
SET search_path = verification, public;
CREATE TABLE item (id int PRIMARY KEY, name text);
INSERT INTO item SELECT g, 'n' || g FROM generate_series(1, 20) g;
ANALYZE item;
CREATE VIEW item_document AS SELECT id, name FROM item;
SELECT conveyor.create_feed('verification', 'item_document');
SELECT conveyor.create_target('verification_files', 'ndjson', '{"directory": "/tmp"}');
SELECT conveyor.create_target('verification_search', 'elasticsearch', '{"url": "http://127.0.0.1:1"}');
SELECT conveyor.create_delivery('verification_files', 'verification', 'verification_files');
SELECT conveyor.create_delivery('verification', 'verification', 'verification_search', options => '{"backfill": false}');

-- what cannot be verified
SELECT conveyor.verification_begin('nobody', false, false);
SELECT conveyor.verification_begin('verification_files', false, false);
UPDATE conveyor.delivery_state SET stale_at = now(), stale_reason = 'test' WHERE delivery = 'verification';
SELECT conveyor.verification_begin('verification', false, false);
UPDATE conveyor.delivery_state SET stale_at = NULL, stale_reason = NULL WHERE delivery = 'verification';

-- the first run is told what it must know, and gets ranges that tile the key
SELECT (conveyor.verification_begin('verification', false, false)) AS plan \gset
SELECT p ->> 'resumed' AS resumed, p ->> 'phase' AS phase, p ->> 'key' AS key, p ->> 'key_types' AS types, p ->> 'documents_total' AS total, p ->> 'secret' AS secret,
       p -> 'target_options' ->> 'url' AS url FROM (SELECT :'plan'::jsonb) x(p);
SELECT (:'plan'::jsonb ->> 'verification')::bigint AS id, (:'plan'::jsonb ->> 'runner')::bigint AS first \gset
SELECT conveyor.verification_claim(:id, :first, 8);
SELECT conveyor.verification_claim(:id, :first, 8);
SELECT conveyor.verification_note(:id, :first, 1, 8, ARRAY['3', '5', '3'], 0.5);
SELECT conveyor.verification_enter(:id, :first, 'sweep');
SELECT state, documents, documents_total, percent, suspected FROM conveyor.verification_status WHERE delivery = 'verification';

-- another run takes over what the first one left, and the first one is refused from then on
SELECT (conveyor.verification_begin('verification', false, true)) AS plan \gset
SELECT p ->> 'resumed' AS resumed, p ->> 'repair' AS repair, p ->> 'documents' AS documents, (p ->> 'verification')::bigint = :id AS same FROM (SELECT :'plan'::jsonb) x(p);
SELECT (:'plan'::jsonb ->> 'runner')::bigint AS second \gset
\set VERBOSITY terse
SELECT conveyor.verification_note(:id, :first, 2, 8, '{}', 0);
\set VERBOSITY default
SELECT conveyor.verification_claim(:id, :second, 100);
SELECT conveyor.verification_claim(:id, :second, 100);
SELECT conveyor.verification_claim(:id, :second, 100);
SELECT conveyor.verification_note(:id, :second, 2, 8, '{9}', 0.5), conveyor.verification_note(:id, :second, 3, 4, '{}', 0.5);
SELECT conveyor.verification_note(:id, :second, NULL, 0, '{stranger}', 0);
SELECT conveyor.verification_enter(:id, :second, 'sweep'), conveyor.verification_enter(:id, :second, 'settle');

-- what is looked at again is equal, or has a kind; a dead letter explains itself
INSERT INTO conveyor.dead_letter_store (delivery, key, type, reason, attempts) VALUES ('verification', '9', 'strict_dynamic_mapping_exception', 'x', 1);
SELECT key, kind FROM conveyor.verification_keys(:id, :second, false, 0, 10);
SELECT conveyor.verification_settle(:id, :second, '[{"key": "3", "kind": null}, {"key": "5", "kind": "different", "version": 7},
                                                    {"key": "9", "kind": "missing"}, {"key": "stranger", "kind": "extra", "version": 1, "detail": "by hand"}]');
SELECT count(*) FROM conveyor.verification_keys(:id, :second, false, 0, 10);
SELECT delivery, key, kind, version, detail, repaired_at IS NOT NULL AS repaired FROM conveyor.difference WHERE delivery = 'verification';

-- a repair's version is above the one in the target, where that can be; and its request is an ordinary one
SELECT conveyor.present_version() AS present \gset
SELECT conveyor.verification_resync(:id, :second, '{5,stranger}', :present + 5000) AS request \gset
SELECT conveyor.present_version() > :present + 5000 AS above;
SELECT conveyor.verification_request(:id, :second, :request), conveyor.verification_request(:id, :second, -1);
SELECT source, state, keys_total FROM conveyor.resync_status WHERE id = :request;
\set VERBOSITY terse
DO $$ BEGIN PERFORM conveyor.raise_version(conveyor.present_version() + 1000000); EXCEPTION WHEN numeric_value_out_of_range THEN RAISE INFO 'out of reach'; END $$;
\set VERBOSITY default
SELECT conveyor.verification_settle(:id, :second, '[{"key": "5", "kind": null}, {"key": "stranger", "kind": null}]');
SELECT key, kind, repaired FROM conveyor.verification_keys(:id, :second, true, 0, 10);
SELECT conveyor.verification_finish(:id, :second);
SELECT state, documents, percent, suspected, missing, extra, different, repaired FROM conveyor.verification_status WHERE delivery = 'verification';
SELECT regexp_replace(detail, '^verification \d+', 'verification N') FROM conveyor.journal WHERE action = 'verified' AND object = 'verification';

-- the next one begins from the start, and so does one that is wanted anew
SELECT conveyor.verification_begin('verification', false, false) ->> 'resumed', conveyor.verification_begin('verification', true, false) ->> 'resumed';
SELECT state FROM conveyor.verification_status WHERE delivery = 'verification' ORDER BY id;
SELECT count(*) FROM conveyor.difference WHERE delivery = 'verification';

-- an agent's role is enough, and nobody else's is
SELECT has_function_privilege('conveyor_agent', p.oid, 'EXECUTE') AS agent, has_function_privilege('conveyor_operator', p.oid, 'EXECUTE') AS operator, has_function_privilege('public', p.oid, 'EXECUTE') AS public, count(*)
  FROM pg_proc p WHERE p.pronamespace = 'conveyor'::regnamespace AND p.proname LIKE 'verification\_%' GROUP BY 1, 2, 3;

SELECT conveyor.drop_delivery('verification'), conveyor.drop_delivery('verification_files'), conveyor.drop_feed('verification'), conveyor.drop_target('verification_search'), conveyor.drop_target('verification_files');
SELECT count(*) FROM conveyor.verification WHERE delivery = 'verification';
DROP SCHEMA verification CASCADE;
