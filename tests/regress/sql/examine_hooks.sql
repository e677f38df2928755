-- Looking on changes nothing: results, rights, errors, and what a statement outside of any batch costs.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS pg_conveyor;
CREATE SCHEMA examine_hooks;
SET search_path = examine_hooks, public;
CREATE TABLE item (id int PRIMARY KEY);
INSERT INTO item SELECT generate_series(1, 10);

-- An error is the statement's own, and the next statement is not looked at.
SELECT conveyor.examine_statement('SELECT 1 / (id - id) FROM item', 10);
SELECT count(*) FROM item;
SELECT conveyor.examine_statement('SELECT FROM nowhere', 10);
SELECT conveyor.examine_statement(NULL, 10);
SELECT conveyor.examine_statement('COMMIT', 10);

-- EXPLAIN inside a batch, cursors that outlive a statement, a batch within a batch.
CREATE FUNCTION explains() RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    line text;
    rows CURSOR FOR SELECT id FROM item;
    id int;
BEGIN
    OPEN rows;
    FETCH rows INTO id;
    EXECUTE 'EXPLAIN SELECT * FROM item' INTO line;
    EXECUTE 'EXPLAIN (ANALYZE, TIMING OFF) SELECT * FROM item' INTO line;
    PERFORM conveyor.examine_statement('SELECT count(*) FROM item', 10);
    FETCH rows INTO id;
    CLOSE rows;
END
$$;
SELECT * FROM conveyor.examine_statement('SELECT explains()', 10);
BEGIN;
SELECT * FROM conveyor.examine_statement('DECLARE kept CURSOR WITH HOLD FOR SELECT id FROM item ORDER BY id', 10);
COMMIT;

-- With the caller's rights.
CREATE ROLE regress_examine;
GRANT conveyor_operator TO regress_examine;
SET ROLE regress_examine;
SELECT conveyor.examine_statement('SELECT count(*) FROM examine_hooks.item', 10);
RESET ROLE;

RESET search_path;
SET client_min_messages = error;
DROP SCHEMA examine_hooks CASCADE;
DROP ROLE regress_examine;
