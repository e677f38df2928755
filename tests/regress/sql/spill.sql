-- Transactions larger than conveyor.buffer_size: written early, by nesting levels, nothing lost and nothing kept that was
-- rolled back.
CREATE TABLE bulk (id int PRIMARY KEY, v int);
SELECT test.watch('bulk', '{v}', '{id}');
SET conveyor.buffer_size = '64kB';
INSERT INTO bulk SELECT n, 0 FROM generate_series(1, 50000) AS n;
SELECT count(*), count(DISTINCT entry) FROM test.captured();

-- Spilled inside a savepoint that is rolled back, beside an outer level that stays.
BEGIN;
UPDATE bulk SET v = 1 WHERE id <= 10000;
SAVEPOINT a;
UPDATE bulk SET v = 2 WHERE id BETWEEN 10001 AND 30000;
ROLLBACK TO a;
UPDATE bulk SET v = 3 WHERE id BETWEEN 40001 AND 50000;
COMMIT;
SELECT count(DISTINCT entry), min((entry ->> 'id')::int), count(DISTINCT entry) FILTER (WHERE (entry ->> 'id')::int BETWEEN 10001 AND 40000) AS lost,
       max((entry ->> 'id')::int) FROM test.captured();

-- Released, and then the outer one rolled back.
BEGIN;
SAVEPOINT a;
SAVEPOINT b;
UPDATE bulk SET v = 4 WHERE id <= 20000;
RELEASE b;
ROLLBACK TO a;
UPDATE bulk SET v = 4 WHERE id = 5;
COMMIT;
SELECT * FROM test.captured();

-- Many small subtransactions, none of which passes the limit by itself: their parent's entries go with one of them.
BEGIN;
DO $$
BEGIN
    BEGIN
        FOR i IN 1 .. 20000 LOOP
            BEGIN
                UPDATE bulk SET v = 5 WHERE id = i;
            EXCEPTION WHEN division_by_zero THEN
                NULL;
            END;
        END LOOP;
    EXCEPTION WHEN division_by_zero THEN
        NULL;
    END;
END
$$;
SELECT total_bytes BETWEEN 1 AND 256 * 1024 AS small FROM pg_backend_memory_contexts WHERE name = 'pg_conveyor capture';
COMMIT;
SELECT count(DISTINCT entry), min((entry ->> 'id')::int), max((entry ->> 'id')::int) FROM test.captured();
DO $$
BEGIN
    BEGIN
        FOR i IN 1 .. 20000 LOOP
            BEGIN
                UPDATE bulk SET v = 6 WHERE id = i;
            EXCEPTION WHEN division_by_zero THEN
                NULL;
            END;
        END LOOP;
        RAISE division_by_zero;
    EXCEPTION WHEN division_by_zero THEN
        NULL;
    END;
    UPDATE bulk SET v = 6 WHERE id = 7;
END
$$;
SELECT * FROM test.captured();

-- Memory stays within bounds.
BEGIN;
UPDATE bulk SET v = 7;
SELECT total_bytes BETWEEN 1 AND 512 * 1024 AS small FROM pg_backend_memory_contexts WHERE name = 'pg_conveyor capture';
COMMIT;
SELECT count(DISTINCT entry) FROM test.captured();

-- So does it in nested subtransactions: 300,000 changes in savepoints 300 deep, half of which roll back.
CREATE TABLE deep (id int PRIMARY KEY, v int);
SELECT test.watch('deep', '{v}', '{id}');
SET conveyor.buffer_size = '1MB';
BEGIN;
\set ECHO none
SELECT format('SAVEPOINT s%s', n), format('INSERT INTO deep SELECT n, 0 FROM generate_series(%s, %s) AS n', n * 1000 + 1, (n + 1) * 1000)
  FROM generate_series(0, 299) AS n ORDER BY n \gexec
\set ECHO all
SELECT total_bytes BETWEEN 1 AND 6 * 1024 * 1024 AS small FROM pg_backend_memory_contexts WHERE name = 'pg_conveyor capture';
ROLLBACK TO s150;
COMMIT;
SELECT count(*) FROM deep;
SELECT count(DISTINCT entry), min((entry ->> 'id')::int), max((entry ->> 'id')::int) FILTER (WHERE (entry ->> 'id')::int > 0) FROM test.captured();
SET conveyor.buffer_size = '64kB';

-- A hundred thousand subtransactions, more than the server keeps in shared memory: as many captures, and no mark of them stays.
DO $$
BEGIN
    FOR i IN 1 .. 100000 LOOP
        BEGIN
            INSERT INTO deep VALUES (1000000 + i, 0);
            IF i % 2 = 0 THEN
                RAISE division_by_zero;
            END IF;
        EXCEPTION WHEN division_by_zero THEN
            NULL;
        END;
    END LOOP;
END
$$;
SELECT count(*), count(DISTINCT entry), count(*) FILTER (WHERE (entry ->> 'id')::int % 2 = 0) AS rolled_back FROM test.captured();
SELECT total_bytes BETWEEN 1 AND 512 * 1024 AS small FROM pg_backend_memory_contexts WHERE name = 'pg_conveyor capture';
SELECT test.unwatch('deep');
RESET conveyor.buffer_size;
SELECT test.unwatch('bulk');
