-- Where a version would not be true, nothing is read.
SET client_min_messages = error;
CREATE EXTENSION IF NOT EXISTS pg_conveyor;
CREATE SCHEMA fetch_conditions;
SET search_path = fetch_conditions, public;
CREATE TABLE t (id int PRIMARY KEY);
INSERT INTO t VALUES (1);
CREATE VIEW t_document AS SELECT id FROM t;
SELECT conveyor.create_target('conditions', 'ndjson', '{"directory": "/tmp"}');
SELECT conveyor.create_feed('conditions', 't_document');
SELECT conveyor.create_delivery('conditions', 'conditions', 'conditions');

-- not in a transaction that may write
SELECT conveyor.fetch_keys('conditions', '{1}', pg_current_snapshot());
-- not in one whose statements share a snapshot
BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;
SELECT conveyor.fetch_keys('conditions', '{1}', pg_current_snapshot());
ROLLBACK;
-- not when the session has a transaction id, which its own snapshots do not list
BEGIN;
SELECT pg_current_xact_id() IS NOT NULL AS has_id;
SET TRANSACTION READ ONLY;
SELECT conveyor.fetch_keys('conditions', '{1}', pg_current_snapshot());
ROLLBACK;
-- not in a snapshot that lacks what the window has seen
\set VERBOSITY sqlstate
BEGIN READ ONLY;
SELECT conveyor.fetch_keys('conditions', '{1}', '1000000000:1000000000:');
ROLLBACK;
-- nor a window behind a cursor that is ahead of this server's life
BEGIN;
UPDATE conveyor.delivery_state SET cursor = '1000000000:1000000000:' WHERE delivery = 'conditions';
COMMIT;
BEGIN READ ONLY;
SELECT conveyor.window_keys('conditions');
ROLLBACK;
UPDATE conveyor.delivery_state SET cursor = conveyor.latest_snapshot() WHERE delivery = 'conditions';
\set VERBOSITY default
BEGIN READ ONLY; SELECT conveyor.fetch_keys('conditions', '{1}', NULL); ROLLBACK;
BEGIN READ ONLY; SELECT conveyor.fetch_keys('conditions', '{1,NULL}', pg_current_snapshot()); ROLLBACK;
BEGIN READ ONLY; SELECT conveyor.fetch_keys(NULL, '{1}', pg_current_snapshot()); ROLLBACK;
BEGIN READ ONLY; SELECT conveyor.fetch_keys('nobody', '{1}', pg_current_snapshot()); ROLLBACK;
-- the same for windows
SELECT conveyor.window_keys('conditions');
-- a view that is gone
DROP VIEW t_document;
BEGIN READ ONLY; SELECT conveyor.fetch_keys('conditions', '{1}', pg_current_snapshot()); ROLLBACK;

SELECT conveyor.drop_delivery('conditions'), conveyor.drop_feed('conditions'), conveyor.drop_target('conditions');
DROP SCHEMA fetch_conditions CASCADE;
