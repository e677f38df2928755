-- What changes in the source of a job that follows it reaches the target, window by window, and nothing else does.
SET client_min_messages = warning;
CREATE SCHEMA follow;
CREATE TABLE follow.item (shop int, id int, amount numeric, hidden boolean NOT NULL DEFAULT false, PRIMARY KEY (shop, id)) PARTITION BY LIST (shop);
CREATE TABLE follow.item_1 PARTITION OF follow.item FOR VALUES IN (1);
CREATE TABLE follow.item_2 PARTITION OF follow.item FOR VALUES IN (2);
INSERT INTO follow.item SELECT s, n, 10 * n FROM generate_series(1, 2) AS s, generate_series(1, 3) AS n;
CREATE TABLE follow.copy (shop int, id int, amount numeric CHECK (amount >= 0), times int DEFAULT 1, PRIMARY KEY (shop, id));

CREATE FUNCTION follow.job(asked text) RETURNS int LANGUAGE sql AS 'SELECT id FROM conveyor.job_definition WHERE job = asked';
-- The runner's part: the copy, and its end.
CREATE PROCEDURE follow.copy(job text) LANGUAGE plpgsql AS $$
BEGIN
    UPDATE conveyor.migration_state m SET state = 'running', started_at = now() FROM conveyor.job_definition j
     WHERE j.job = copy.job AND j.migration = m.migration AND m.state = 'planned';
    PERFORM conveyor.follow_begin(follow.job(job));
    COMMIT;
    WHILE conveyor.run_batch(follow.job(job)) LIKE '%done' LOOP
        COMMIT;
    END LOOP;
    PERFORM conveyor.job_finish(follow.job(job));
END
$$;
CREATE FUNCTION follow.differences() RETURNS TABLE (shop int, id int, source numeric, target numeric) LANGUAGE sql AS $$
    SELECT shop, id, s.amount, t.amount FROM (SELECT * FROM follow.item WHERE NOT hidden) AS s FULL JOIN follow.copy AS t USING (shop, id)
     WHERE s.amount IS DISTINCT FROM t.amount ORDER BY 1, 2
$$;

SELECT conveyor.create_migration('items');
SELECT conveyor.add_job('items', 'copy items', 'follow.item', follow => true,
    statement => $$WITH sums AS (SELECT shop, id, amount FROM batch)
                   INSERT INTO follow.copy AS c SELECT * FROM sums ON CONFLICT (shop, id) DO UPDATE SET amount = excluded.amount, times = c.times + 1$$,
    options => '{"where": "NOT hidden", "delete_statement": "DELETE FROM follow.copy c USING gone g WHERE (c.shop, c.id) = (g.shop, g.id)"}');
SELECT conveyor.follow_window(follow.job('copy items'));
CALL follow.copy('copy items');
SELECT state, lag FROM conveyor.job_status WHERE job = 'copy items';
SELECT relation, columns, feeds, jobs, state FROM conveyor.watch_status WHERE relation = 'follow.item'::regclass;
SELECT * FROM follow.differences();

-- Inserted, changed, removed; a key that changes; a row that moves to another partition; many changes of one key are one.
INSERT INTO follow.item VALUES (1, 4, 40);
UPDATE follow.item SET amount = amount + 1 WHERE id = 1;
UPDATE follow.item SET amount = amount + 1 WHERE id = 1;
DELETE FROM follow.item WHERE (shop, id) = (2, 2);
UPDATE follow.item SET id = 33 WHERE (shop, id) = (1, 3);
UPDATE follow.item SET shop = 2, id = 5 WHERE (shop, id) = (1, 2);
SELECT count(*) > 0 AS behind FROM follow.differences();
SELECT changes > 0 AS changes, lag > '0' AS lag FROM conveyor.follow_lag(follow.job('copy items'));
SELECT conveyor.follow_window(follow.job('copy items'));
SELECT * FROM follow.differences();
SELECT conveyor.follow_window(follow.job('copy items'));
-- A row that leaves what the job is about, and one that comes in.
UPDATE follow.item SET hidden = true WHERE (shop, id) = (1, 1);
INSERT INTO follow.item VALUES (1, 6, 60, true);
SELECT conveyor.follow_window(follow.job('copy items'));
SELECT * FROM follow.differences();
UPDATE follow.item SET hidden = NOT hidden WHERE shop = 1 AND id IN (1, 6);
SELECT conveyor.follow_window(follow.job('copy items'));
SELECT * FROM follow.differences();
SELECT * FROM follow.copy ORDER BY 1, 2;
-- What is rolled back reaches nobody; a rolled back window comes again.
BEGIN;
UPDATE follow.item SET amount = 0;
ROLLBACK;
SELECT conveyor.follow_window(follow.job('copy items'));
UPDATE follow.item SET amount = 7 WHERE (shop, id) = (1, 1);
BEGIN;
SELECT conveyor.follow_window(follow.job('copy items'));
ROLLBACK;
SELECT * FROM follow.differences();
SELECT conveyor.follow_window(follow.job('copy items'));
SELECT * FROM follow.differences();
-- Changes of the window's own transaction come with the next one.
BEGIN;
UPDATE follow.item SET amount = 8 WHERE (shop, id) = (1, 1);
SELECT conveyor.follow_window(follow.job('copy items'));
COMMIT;
UPDATE follow.item SET amount = 9 WHERE (shop, id) = (1, 1);
SELECT conveyor.follow_window(follow.job('copy items'));
SELECT * FROM follow.differences();
-- In slices: what one slice deletes makes room for what another one brings, although it comes later.
CREATE UNIQUE INDEX ON follow.copy (amount) WHERE shop = 3;
CREATE TABLE follow.item_3 PARTITION OF follow.item FOR VALUES IN (3);
SET conveyor.window_memory = '64kB';
INSERT INTO follow.item SELECT 3, n, n FROM generate_series(1, 5000) AS n;
SELECT conveyor.follow_window(follow.job('copy items'), 100) >= 5000 AS applied;
SELECT * FROM follow.differences();
UPDATE follow.item SET id = 10001 - id WHERE shop = 3;
SELECT conveyor.follow_window(follow.job('copy items'), 100) >= 10000 AS applied;
SELECT * FROM follow.differences();
SELECT count(*) FROM conveyor.dead_row;
RESET conveyor.window_memory;
-- A feed that watches the same table: one capture serves both, and when the feed goes the job keeps its own.
CREATE VIEW follow.item_document AS SELECT shop, id, amount FROM follow.item;
SELECT conveyor.create_feed('items', 'follow.item_document');
UPDATE follow.item SET amount = 11 WHERE (shop, id) = (1, 1);
SELECT count(*) FROM conveyor.capture WHERE relation = 'follow.item'::regclass AND retired_at IS NULL;
SELECT columns, feeds, jobs, state FROM conveyor.watch_status WHERE relation = 'follow.item'::regclass;
SELECT conveyor.drop_feed('items');
UPDATE follow.item SET amount = 12 WHERE (shop, id) = (1, 1);
SELECT conveyor.follow_window(follow.job('copy items'));
SELECT * FROM follow.differences();
SELECT columns, feeds, jobs, state FROM conveyor.watch_status WHERE relation = 'follow.item'::regclass;
-- A column that is added is compared from then on.
ALTER TABLE follow.item ADD note text;
UPDATE follow.item SET note = 'changed' WHERE (shop, id) = (2, 1);
SELECT conveyor.follow_window(follow.job('copy items'));
SELECT * FROM conveyor.audit();
-- A row that the target refuses is kept as a dead row, the others are applied; when it is mended in the source, it is alive again.
UPDATE follow.item SET amount = CASE id WHEN 3 THEN -1 ELSE 100 END WHERE shop = 2;
SELECT conveyor.follow_window(follow.job('copy items'));
SELECT * FROM follow.differences();
SELECT job, key, sqlstate, reason FROM conveyor.dead_row;
UPDATE follow.item SET amount = 1 WHERE (shop, id) = (2, 3);
SELECT conveyor.follow_window(follow.job('copy items'));
SELECT * FROM follow.differences();
SELECT count(*) FROM conveyor.dead_row;
-- With on_error => stop the window fails as a whole.
SELECT conveyor.alter_job('items', 'copy items', '{"on_error": "stop"}');
UPDATE follow.item SET amount = -id WHERE shop = 2;
SELECT conveyor.follow_window(follow.job('copy items'));
UPDATE follow.item SET amount = id WHERE shop = 2;
SELECT conveyor.follow_window(follow.job('copy items'));
SELECT * FROM follow.differences();
-- Who may not, and where it cannot be.
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT conveyor.follow_window(follow.job('copy items'));
ROLLBACK;
CREATE ROLE conveyor_test_follower IN ROLE conveyor_operator;
SELECT follow.job('copy items') AS job \gset
SET ROLE conveyor_test_follower;
SELECT conveyor.follow_window(:job);
RESET ROLE;
DROP ROLE conveyor_test_follower;
-- Keys that are equal and still differ: the target has the text of the source, and no other.
CREATE TABLE follow.price (amount numeric PRIMARY KEY, v int);
CREATE TABLE follow.price_text (amount text PRIMARY KEY, v int);
INSERT INTO follow.price VALUES (1.0, 1);
SELECT conveyor.create_migration('prices');
SELECT conveyor.add_job('prices', 'copy prices', 'follow.price', follow => true,
    statement => 'INSERT INTO follow.price_text SELECT amount::text, v FROM batch ON CONFLICT (amount) DO UPDATE SET v = excluded.v',
    options => '{"delete_statement": "DELETE FROM follow.price_text t USING gone g WHERE t.amount = g.amount::text"}');
CALL follow.copy('copy prices');
UPDATE follow.price SET amount = 1.00;
SELECT conveyor.follow_window(follow.job('copy prices'));
SELECT * FROM follow.price_text;
-- Cancelled, a migration leaves nothing behind on its sources.
SELECT conveyor.cancel_migration('prices'), conveyor.drop_migration('prices');
SELECT tgname FROM pg_trigger WHERE tgrelid = 'follow.price'::regclass AND tgname LIKE 'conveyor%';
SELECT count(*) FROM conveyor.log_cursor WHERE holder LIKE 'prices.%';
SELECT conveyor.follow_window(2147483647);
