-- Another extension writes to a watched table in its callback before the commit, behind our flush: its change is written at
-- once. It is loaded first, because callbacks run in the reverse order.
\c -
LOAD 'late_writer';
CREATE TABLE early (id int PRIMARY KEY);
CREATE TABLE late (id serial PRIMARY KEY, note text);
SELECT test.watch('early', '{id}', '{id}'), test.watch('late', '{id}', '{note}');
SELECT * FROM test.captured();
-- Behind a capture, and in a transaction that captured nothing, not even having an id of its own.
BEGIN;
SET LOCAL late_writer.statement = $$INSERT INTO late (note) VALUES ('behind a capture')$$;
INSERT INTO early VALUES (1);
COMMIT;
BEGIN;
SET LOCAL late_writer.statement = $$INSERT INTO late (note) VALUES ('behind nothing')$$;
COMMIT;
SELECT * FROM test.captured();
-- The same before a PREPARE.
BEGIN;
SET LOCAL late_writer.statement = $$INSERT INTO late (note) VALUES ('prepared behind a capture')$$;
INSERT INTO early VALUES (2);
PREPARE TRANSACTION 'conveyor_test_first';
BEGIN;
SET LOCAL late_writer.statement = $$INSERT INTO late (note) VALUES ('prepared behind nothing')$$;
PREPARE TRANSACTION 'conveyor_test_second';
COMMIT PREPARED 'conveyor_test_first';
COMMIT PREPARED 'conveyor_test_second';
SELECT * FROM test.captured();
-- Many, and in a subtransaction of that callback that is rolled back.
BEGIN;
SET LOCAL late_writer.statement = $$INSERT INTO early SELECT n FROM generate_series(1001, 6000) AS n$$;
INSERT INTO early VALUES (3);
COMMIT;
SELECT count(DISTINCT entry) FROM test.captured();
BEGIN;
SET LOCAL late_writer.statement = $$DO 'BEGIN
    INSERT INTO late (note) VALUES (''stays'');
    BEGIN INSERT INTO late (note) VALUES (''goes''); PERFORM 1 / 0; EXCEPTION WHEN division_by_zero THEN NULL; END;
END'$$;
INSERT INTO early VALUES (4);
COMMIT;
SELECT * FROM test.captured();
-- An error there aborts the transaction with what it captured.
BEGIN;
SET LOCAL late_writer.statement = 'INSERT INTO early VALUES (1)';
INSERT INTO early VALUES (5);
COMMIT;
SELECT * FROM test.captured();
-- It refuses a subtransaction behind our flush of what its parent had captured: that is in no row then, and must be written
-- again. (A buffer of 64 kB: the parents are flushed again and again, in subtransactions that are refused and in others.)
SET conveyor.buffer_size = '64kB';
CREATE PROCEDURE add_early(first int, last int, refuse_every int) LANGUAGE plpgsql AS $$
BEGIN
    FOR i IN first .. last LOOP
        BEGIN
            INSERT INTO early VALUES (i);
            PERFORM set_config('late_writer.refuse', (i % refuse_every = 0)::text, true);
        EXCEPTION WHEN raise_exception THEN
            NULL;
        END;
    END LOOP;
    PERFORM set_config('late_writer.refuse', 'off', true);
END
$$;
CALL add_early(100001, 110000, 2);
SELECT count(*), count(DISTINCT entry), count(*) FILTER (WHERE (entry ->> 'id')::int % 2 = 0) AS refused FROM test.captured();
-- The parent goes with it, and the next one of its level knows nothing of that. (It grows large first, and is flushed for the
-- first time in a subtransaction that is refused.)
DO $$
BEGIN
    BEGIN
        PERFORM set_config('conveyor.buffer_size', '4MB', true);
        CALL add_early(200001, 205000, 10000000);
        PERFORM set_config('conveyor.buffer_size', '64kB', true);
        CALL add_early(205001, 205002, 1);
        RAISE EXCEPTION 'gone';
    EXCEPTION WHEN raise_exception THEN
        NULL;
    END;
    BEGIN
        CALL add_early(300001, 300003, 5);
    EXCEPTION WHEN raise_exception THEN
        NULL;
    END;
END
$$;
SELECT * FROM test.captured();
DROP PROCEDURE add_early;
SELECT test.unwatch('early'), test.unwatch('late');
\c -
