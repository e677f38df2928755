-- What the plan of a batch's statement lets expect: scans that are repeated for each row of the batch, or for each batch.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS pg_conveyor;
CREATE SCHEMA examine_plan;
SET search_path = examine_plan, public;
SET max_parallel_workers_per_gather = 0;
CREATE TABLE item (id int PRIMARY KEY, sku text NOT NULL, kind int NOT NULL, amount int NOT NULL);
INSERT INTO item SELECT g, 'sku-' || g, g % 3, g FROM generate_series(1, 5000) g;
CREATE TABLE result (id int, price int);
CREATE TEMP TABLE price (sku text, price int);
INSERT INTO price SELECT 'sku-' || g, g FROM generate_series(1, 5000) g;
CREATE TABLE tariff (kind int, low int, high int, note text);
INSERT INTO tariff SELECT g % 3, g, g, repeat('x', 20) FROM generate_series(1, 5000) g;
CREATE INDEX tariff_kind ON tariff (kind);
ANALYZE item, price, tariff;

-- Runs the statement for the first `size` rows, and takes it back.
CREATE FUNCTION examine(statement text, size int = 500) RETURNS TABLE (said text, text text) LANGUAGE plpgsql AS $$
DECLARE
    found record;
BEGIN
    BEGIN
        SELECT * INTO found
          FROM conveyor.examine_statement(format('WITH batch AS (SELECT s.* FROM item AS s WHERE id <= %s) %s', size, statement), size, 'item');
        RAISE EXCEPTION USING ERRCODE = 'TAKEB';
    EXCEPTION WHEN SQLSTATE 'TAKEB' THEN
    END;
    RETURN QUERY VALUES ('expected', found.expected), ('observed', regexp_replace(found.observed, 'time per row grows with the size of \S+: ', ''));
END
$$;

-- The story's own case: a sub-select over a temporary table that has no index.
SELECT * FROM examine('INSERT INTO result SELECT id, (SELECT p.price FROM price p WHERE p.sku = batch.sku) FROM batch');
CREATE INDEX price_sku ON price (sku);
ANALYZE price;
SELECT * FROM examine('INSERT INTO result SELECT id, (SELECT p.price FROM price p WHERE p.sku = batch.sku) FROM batch');
DROP INDEX pg_temp.price_sku;

-- A plain join of the same is none: it is hashed.
SELECT * FROM examine('INSERT INTO result SELECT id, p.price FROM batch JOIN price p USING (sku)');
-- One that cannot be hashed, and the columns of the join condition are behind a materialisation.
SET enable_hashjoin = off;
SET enable_mergejoin = off;
SET enable_memoize = off;
SELECT * FROM examine('INSERT INTO result SELECT id, p.price FROM batch LEFT JOIN price p ON p.sku = batch.sku');
RESET enable_hashjoin;
RESET enable_mergejoin;
-- No equality, no index to recommend.
SELECT * FROM examine('INSERT INTO result SELECT id, p.price FROM batch JOIN price p ON p.price > batch.amount + 4900');
-- An expression is indexed as it stands.
SELECT * FROM examine($$INSERT INTO result SELECT id, (SELECT max(p.price) FROM price p WHERE upper(p.sku) = upper(batch.sku) AND p.price > 0) FROM batch$$);
-- The index that there is chooses a third of the table for each row.
SELECT * FROM examine('INSERT INTO result SELECT id, (SELECT t.low FROM tariff t WHERE t.kind = batch.kind AND t.high = batch.amount) FROM batch');
-- The batch against itself.
SELECT * FROM examine('INSERT INTO result SELECT id, (SELECT count(*) FROM batch b WHERE b.kind = batch.kind AND b.id < batch.id) FROM batch');

-- Partitions, each small, are one table.
CREATE TABLE part (kind int, sku text) PARTITION BY RANGE (kind);
SELECT format('CREATE TABLE part_%s PARTITION OF part FOR VALUES FROM (%s) TO (%s)', g, g, g + 1) FROM generate_series(0, 19) g \gexec
INSERT INTO part SELECT g % 20, 'sku-' || g FROM generate_series(1, 2000) g;
ANALYZE part;
SELECT * FROM examine('INSERT INTO result SELECT id, (SELECT count(*) FROM part WHERE part.sku = batch.sku) FROM batch');

-- Once a batch, a large table: the more so the smaller the batch.
CREATE UNLOGGED TABLE large (amount int);
INSERT INTO large SELECT generate_series(1, 1050000);
ANALYZE large;
SELECT said, regexp_replace(text, 'reads \d{7} rows', 'reads N rows') AS text FROM examine('INSERT INTO result SELECT id, l.amount FROM batch JOIN large l USING (amount)', 1000);

-- The planner believes in one row where there are hundreds.
CREATE TABLE young (id int, sku text) WITH (autovacuum_enabled = off);
INSERT INTO young SELECT g, 'sku-' || g FROM generate_series(1, 10) g;
ANALYZE young;
INSERT INTO young SELECT g, 'sku-' || g FROM generate_series(11, 5000) g;
SET enable_hashjoin = off;
SET enable_mergejoin = off;
SELECT expected FROM conveyor.examine_statement('INSERT INTO result SELECT y.id, p.price FROM young y LEFT JOIN price p ON p.sku = y.sku WHERE y.id > 4500', 500, 'young');

RESET search_path;
SET client_min_messages = error;
DROP SCHEMA examine_plan CASCADE;
