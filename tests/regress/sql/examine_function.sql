-- Statements inside functions and triggers are seen, named with their function, and with the index that would help.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS pg_conveyor;
CREATE SCHEMA examine_function;
SET search_path = examine_function, public;
SET max_parallel_workers_per_gather = 0;
CREATE TABLE item (id int PRIMARY KEY, sku text NOT NULL);
INSERT INTO item SELECT g, 'sku-' || g FROM generate_series(1, 20000) g;
CREATE TABLE result (id int, price int);
ANALYZE item;

-- The story's own case.
CREATE FUNCTION reprice(first int, last int, indexed boolean = false) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    DROP TABLE IF EXISTS price;
    CREATE TEMP TABLE price AS SELECT i.sku, i.id * 2 AS price FROM item i WHERE i.id BETWEEN first AND last;
    IF indexed THEN
        CREATE INDEX ON price (sku);
    END IF;
    INSERT INTO result
    SELECT i.id, (SELECT p.price FROM price p WHERE p.sku = i.sku) FROM item i WHERE i.id BETWEEN first AND last;
END
$$;
SELECT * FROM conveyor.examine_statement('SELECT reprice(1, 2000)', 2000);
SELECT * FROM conveyor.examine_statement('SELECT reprice(1, 2000, true)', 2000);
-- Small, it shows already.
SELECT observed FROM conveyor.examine_statement('SELECT reprice(1, 1000)', 1000);

-- A loop with a statement for each row; whatever the plan cache does, it is one statement.
CREATE PROCEDURE loop_over(first int, last int) LANGUAGE plpgsql AS $$
DECLARE
    row record;
BEGIN
    FOR row IN SELECT * FROM item WHERE id BETWEEN first AND last LOOP
        UPDATE result SET price = row.id WHERE result.id = row.id;
    END LOOP;
END
$$;
TRUNCATE result;
INSERT INTO result SELECT g, 0 FROM generate_series(1, 2000) g;
SELECT * FROM conveyor.examine_statement('CALL loop_over(1, 2000)', 2000);
-- Put together with its values, each is a text of its own.
CREATE PROCEDURE loop_with_texts(first int, last int) LANGUAGE plpgsql AS $$
DECLARE
    row record;
BEGIN
    FOR row IN SELECT * FROM item WHERE id BETWEEN first AND last LOOP
        EXECUTE format('UPDATE result SET price = %s WHERE result.id = %1$s', row.id);
    END LOOP;
END
$$;
SELECT * FROM conveyor.examine_statement('CALL loop_with_texts(1, 2000)', 2000);

-- A function in SQL, called by one in PL/pgSQL.
CREATE FUNCTION price_of(wanted int) RETURNS int STABLE LANGUAGE sql SET search_path = examine_function AS $$
    SELECT max(price) FROM result WHERE id = wanted
$$;
SELECT observed FROM conveyor.examine_statement('SELECT price_of(id) FROM item WHERE id <= 2000', 2000);

-- A foreign key that cascades into a table without an index.
CREATE TABLE child (id int PRIMARY KEY, parent int REFERENCES item ON DELETE CASCADE);
INSERT INTO child SELECT g, g FROM generate_series(1, 2000) g;
SELECT observed FROM conveyor.examine_statement('DELETE FROM item WHERE id <= 1000', 1000);
SELECT count(*) FROM child;

-- A transition table is read anew by each row of the statement.
CREATE FUNCTION number_rows() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM (SELECT count(*) FROM added b WHERE b.price <= a.price AND b.id <> a.id) FROM added a;
    RETURN NULL;
END
$$;
CREATE TABLE audited (id int, price int);
CREATE TRIGGER number_rows AFTER INSERT ON audited REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION number_rows();
SELECT observed FROM conveyor.examine_statement('INSERT INTO audited SELECT g, g FROM generate_series(1, 1000) g', 1000);

-- Errors that a function catches leave nothing behind, and do not hide what is slow.
CREATE FUNCTION forgiving(first int, last int) RETURNS int LANGUAGE plpgsql AS $$
DECLARE
    failed int := 0;
BEGIN
    FOR i IN first .. last LOOP
        BEGIN
            PERFORM 1 / (count(*) - 1) FROM result WHERE result.id = i;
        EXCEPTION WHEN division_by_zero THEN
            failed := failed + 1;
        END;
    END LOOP;
    RETURN failed;
END
$$;
SELECT observed FROM conveyor.examine_statement('SELECT forgiving(1, 1000)', 1000);

RESET search_path;
SET client_min_messages = error;
DROP SCHEMA examine_function CASCADE;
