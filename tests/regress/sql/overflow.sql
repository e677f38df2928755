-- Past conveyor.max_log_size a transaction says that it wrote, once, and not what.
CREATE TABLE flood (id int PRIMARY KEY, v int);
CREATE TABLE drop_ (id int PRIMARY KEY, v int);
SELECT test.watch('flood', '{v}', '{id}'), test.watch('drop_', '{v}', '{id}');
SELECT conveyor.log_rotate() >= 0 AS rotated;
SET conveyor.max_log_size = '1MB';
SET conveyor.buffer_size = '64kB';
INSERT INTO flood SELECT n, 0 FROM generate_series(1, 400000) AS n;
SELECT pg_sleep(0.15);
SELECT conveyor.log_size() BETWEEN 1024 * 1024 AND 1024 * 1024 * 1.2 AS bounded;
SELECT kind, count(*) > 100000 AS many, count(*) FILTER (WHERE kind = 'o') AS overflows FROM test.captured() GROUP BY kind ORDER BY kind;
BEGIN;
UPDATE flood SET v = 1 WHERE id <= 50000;
UPDATE drop_ SET v = 1;
INSERT INTO drop_ VALUES (1, 1);
UPDATE flood SET v = 2 WHERE id <= 50000;
COMMIT;
SELECT kind, jsonb_array_length(entry) AS captures FROM test.captured();
-- Inside a savepoint that is rolled back it was never said.
BEGIN;
SAVEPOINT a;
UPDATE flood SET v = 3 WHERE id <= 20000;
ROLLBACK TO a;
UPDATE flood SET v = 3 WHERE id = 1;
COMMIT;
SELECT kind, jsonb_array_length(entry) AS captures FROM test.captured();
-- Whoever watches neither table is not concerned.
SELECT (conveyor.log_pending('3:3:', '{0}')).*;
-- Without a bound, or with room again, keys are recorded.
SET conveyor.max_log_size = -1;
UPDATE flood SET v = 4 WHERE id = 1;
SELECT * FROM test.captured();
SET conveyor.max_log_size = 0;
RESET conveyor.max_log_size;
RESET conveyor.buffer_size;
SELECT test.unwatch('flood'), test.unwatch('drop_');
