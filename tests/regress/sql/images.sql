-- What is compared and what is recorded are two things; equal images are one entry; a key counts once a transaction.
CREATE TABLE line (id int PRIMARY KEY, parent int, amount int, remark text);
SELECT test.watch('line', '{parent,amount}', '{parent}');
INSERT INTO line VALUES (1, 10, 1, 'a'), (2, 10, 1, 'a'), (3, 11, 1, 'a');
SELECT * FROM test.captured();
-- A column that nobody watches.
UPDATE line SET remark = 'b';
SELECT * FROM test.captured();
-- Compared only: the old and the new image are the same.
UPDATE line SET amount = 2 WHERE id = 1;
SELECT * FROM test.captured();
-- Recorded: both images.
UPDATE line SET parent = 12 WHERE id = 1;
SELECT * FROM test.captured();
DELETE FROM line WHERE id = 3;
SELECT * FROM test.captured();
-- NULL in a captured column, both ways.
UPDATE line SET parent = NULL WHERE id = 2;
UPDATE line SET parent = 13 WHERE id = 2;
SELECT * FROM test.captured();
-- The same watches make the same capture; more watches the union of them.
SELECT conveyor.install_capture('line'::regclass) = conveyor.install_capture('line'::regclass) AS same;
SELECT test.watch('line', '{parent,remark}', '{id}');
UPDATE line SET amount = 3;
UPDATE line SET remark = 'c' WHERE id = 1;
SELECT * FROM test.captured();
SELECT test.unwatch('line');
UPDATE line SET remark = 'd';
SELECT * FROM test.captured();
SELECT count(*) FROM pg_trigger WHERE tgrelid = 'line'::regclass;
