-- What a savepoint's rollback takes back, and only that: entries and what is known to be captured already.
CREATE TABLE nest (id int PRIMARY KEY, v int);
INSERT INTO nest SELECT n, 0 FROM generate_series(1, 9) AS n;
SELECT test.watch('nest', '{v}', '{id}');

-- First changed inside, rolled back, then outside: the entry must come back.
BEGIN;
SAVEPOINT a;
UPDATE nest SET v = 1 WHERE id = 1;
ROLLBACK TO a;
UPDATE nest SET v = 1 WHERE id = 1;
COMMIT;
SELECT * FROM test.captured();

-- First outside, then inside and rolled back: the outer entry must stay, once.
BEGIN;
UPDATE nest SET v = 2 WHERE id = 2;
SAVEPOINT a;
UPDATE nest SET v = 3 WHERE id = 2;
UPDATE nest SET v = 3 WHERE id = 3;
ROLLBACK TO a;
COMMIT;
SELECT * FROM test.captured();

-- Released, then the level above rolled back.
BEGIN;
SAVEPOINT a;
SAVEPOINT b;
SAVEPOINT c;
UPDATE nest SET v = 4 WHERE id = 4;
RELEASE c;
UPDATE nest SET v = 4 WHERE id = 5;
RELEASE b;
SAVEPOINT d;
UPDATE nest SET v = 4 WHERE id = 6;
ROLLBACK TO a;
UPDATE nest SET v = 4 WHERE id = 7;
COMMIT;
SELECT * FROM test.captured();

-- Levels that capture nothing in between; rolled back to twice.
BEGIN;
SAVEPOINT a;
SAVEPOINT b;
UPDATE nest SET v = 5 WHERE id = 1;
SAVEPOINT c;
SAVEPOINT d;
UPDATE nest SET v = 5 WHERE id = 2;
ROLLBACK TO c;
UPDATE nest SET v = 5 WHERE id = 3;
ROLLBACK TO b;
UPDATE nest SET v = 5 WHERE id = 4;
RELEASE a;
UPDATE nest SET v = 5 WHERE id = 4;
COMMIT;
SELECT * FROM test.captured();

-- PL/pgSQL: an exception block is a savepoint, in every nesting.
DO $$
BEGIN
    UPDATE nest SET v = 6 WHERE id = 1;
    BEGIN
        UPDATE nest SET v = 6 WHERE id = 2;
        BEGIN
            UPDATE nest SET v = 6 WHERE id = 3;
            RAISE division_by_zero;
        EXCEPTION WHEN division_by_zero THEN
            UPDATE nest SET v = 6 WHERE id = 4;
        END;
        BEGIN
            UPDATE nest SET v = 6 WHERE id = 5;
        EXCEPTION WHEN division_by_zero THEN
            NULL;
        END;
    END;
    BEGIN
        UPDATE nest SET v = 6 WHERE id = 6;
        BEGIN
            UPDATE nest SET v = 6 WHERE id = 7;
        EXCEPTION WHEN OTHERS THEN
            NULL;
        END;
        RAISE EXCEPTION 'gone';
    EXCEPTION WHEN OTHERS THEN
        NULL;
    END;
END
$$;
SELECT * FROM test.captured();

-- Very many of them: the duplicate table grows and shrinks, and stays exact.
DO $$
BEGIN
    FOR i IN 1 .. 300 LOOP
        BEGIN
            INSERT INTO nest VALUES (1000 + i, 0);
            IF i % 3 = 0 THEN
                RAISE EXCEPTION 'gone';
            END IF;
        EXCEPTION WHEN raise_exception THEN
            NULL;
        END;
    END LOOP;
    UPDATE nest SET v = 9 WHERE id > 1000;
END
$$;
SELECT count(*), count(DISTINCT entry), bool_and((entry ->> 'id')::int % 3 <> 1000 % 3) AS none_rolled_back FROM test.captured();

-- The library comes while savepoints are open already.
\c
BEGIN;
SAVEPOINT a;
SAVEPOINT b;
UPDATE nest SET v = 7 WHERE id = 1;
RELEASE b;
SAVEPOINT c;
UPDATE nest SET v = 7 WHERE id = 2;
ROLLBACK TO c;
ROLLBACK TO a;
UPDATE nest SET v = 7 WHERE id = 3;
COMMIT;
SELECT * FROM test.captured();
SELECT test.unwatch('nest');
