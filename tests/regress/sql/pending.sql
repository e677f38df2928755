-- What lies between a cursor and now, for some captures or for all.
CREATE TABLE left_ (id int PRIMARY KEY);
CREATE TABLE right_ (id int PRIMARY KEY);
SELECT test.watch('left_', '{id}', '{id}'), test.watch('right_', '{id}', '{id}');
SELECT conveyor.install_capture('left_'::regclass) AS l, conveyor.install_capture('right_'::regclass) AS r, conveyor.latest_snapshot() AS start \gset
SELECT changes, oldest, signals FROM conveyor.log_pending(:'start', ARRAY[:l, :r]);
INSERT INTO left_ VALUES (1), (2);
SELECT conveyor.latest_snapshot() AS middle \gset
INSERT INTO right_ VALUES (1);
TRUNCATE right_;
SELECT changes, oldest IS NOT NULL AS known, signals FROM conveyor.log_pending(:'start', ARRAY[:l, :r]);
SELECT changes, signals FROM conveyor.log_pending(:'start', ARRAY[:l]);
SELECT changes, signals FROM conveyor.log_pending(:'middle', ARRAY[:l]);
SELECT changes, signals FROM conveyor.log_pending(:'middle', ARRAY[:r]);
SELECT conveyor.log_has_pending(:'start', ARRAY[:l]) AS l, conveyor.log_has_pending(:'middle', ARRAY[:l]) AS l_after,
       conveyor.log_has_pending(:'middle', ARRAY[:r]) AS r, conveyor.log_has_pending(:'start', ARRAY[:r], :'middle') AS r_before,
       conveyor.log_has_pending(:'start', '{}') AS none, conveyor.log_has_pending(conveyor.latest_snapshot(), NULL) AS now;
-- The latest snapshot is the latest in any isolation level.
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT pg_snapshot_xmax(conveyor.latest_snapshot()) >= pg_snapshot_xmax(pg_current_snapshot()) AS later;
COMMIT;
SELECT test.unwatch('left_'), test.unwatch('right_');
