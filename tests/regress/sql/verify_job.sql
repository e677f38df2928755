-- Source and target compared range by range: differences are named down to the key, and mended when asked to.
SET client_min_messages = warning;
CREATE TABLE follow.sale (shop text COLLATE "C", number bigint, day date, amount numeric(10,2), at timestamptz, PRIMARY KEY (shop, number));
INSERT INTO follow.sale SELECT chr(65 + n % 26), n, date '2026-01-01' + n % 365, n / 7.0, '2026-01-01 12:00+00' FROM generate_series(1, 25000) AS n;
CREATE TABLE follow.sale_copy (shop text, number int, sum numeric(10,2), at timestamptz, note text, PRIMARY KEY (shop, number));
SELECT conveyor.create_migration('sales');
SELECT conveyor.add_job('sales', 'copy sales', 'follow.sale',
    statement => 'INSERT INTO follow.sale_copy SELECT shop, number, amount, at FROM batch ON CONFLICT (shop, number) DO UPDATE SET sum = excluded.sum, at = excluded.at',
    options => '{"where": "number > 10", "batch_size": 20000}');
SELECT * FROM conveyor.verify_job('sales', 'copy sales', 'SELECT shop, number FROM follow.sale_copy');
CALL follow.copy('copy sales');
SELECT * FROM conveyor.verify_job('sales', 'copy sales', 'SELECT shop, number, sum AS amount, at FROM follow.sale_copy; -- all of it');
-- One of each kind, in ranges of their own; what lies outside of the source's keys, too.
UPDATE follow.sale_copy SET sum = sum + 1, at = NULL WHERE number = 5000;
DELETE FROM follow.sale_copy WHERE number IN (7777, 25000);
INSERT INTO follow.sale_copy VALUES ('', 0, 1), ('A', 1, 1), ('~', 99999, 1);
SELECT * FROM conveyor.verify_job('sales', 'copy sales', 'SELECT shop, number, sum AS amount, at FROM follow.sale_copy');
-- Only what the query names is compared; keys that it returns twice are named.
SELECT count(*) FROM conveyor.verify_job('sales', 'copy sales', 'SELECT shop, number FROM follow.sale_copy');
SELECT * FROM conveyor.verify_job('sales', 'copy sales', 'SELECT shop, number FROM follow.sale_copy WHERE number > 10 UNION ALL SELECT ''A'', 26') WHERE problem <> 'missing';
-- The texts do not depend on the session.
SET TimeZone = 'Asia/Tokyo'; SET DateStyle = 'German'; SET extra_float_digits = -3;
SELECT count(*) FROM conveyor.verify_job('sales', 'copy sales', 'SELECT shop, number, at FROM follow.sale_copy');
RESET TimeZone; RESET DateStyle; RESET extra_float_digits;
-- Repaired by the job's own statement; what it has no statement for is left, and said to be.
SELECT * FROM conveyor.verify_job('sales', 'copy sales', 'SELECT shop, number, sum AS amount, at FROM follow.sale_copy', repair => true);
SELECT * FROM conveyor.verify_job('sales', 'copy sales', 'SELECT shop, number, sum AS amount, at FROM follow.sale_copy');
-- A target that is empty, and one that has everything too many.
TRUNCATE follow.sale_copy;
SELECT problem, count(*) FROM conveyor.verify_job('sales', 'copy sales', 'SELECT shop, number FROM follow.sale_copy') GROUP BY problem;
SELECT detail, count(*) FROM conveyor.verify_job('sales', 'copy sales', 'SELECT shop, number FROM follow.sale_copy', repair => true) GROUP BY detail;
SELECT detail, count(*) FROM conveyor.verify_job('sales', 'copy sales', 'SELECT shop, number FROM follow.sale_copy', repair => true) GROUP BY detail;
SELECT detail, count(*) FROM conveyor.verify_job('sales', 'copy sales', 'SELECT shop, number FROM follow.sale_copy', repair => true) GROUP BY detail;
DELETE FROM follow.sale;
SELECT problem, count(*) FROM conveyor.verify_job('sales', 'copy sales', 'SELECT shop, number FROM follow.sale_copy') GROUP BY problem;
-- What is on its way is no difference: the job's cursor has not passed it yet.
SELECT conveyor.alter_job('items', 'copy items', '{"on_error": "dead_letter"}');
UPDATE follow.item SET amount = amount + 0.5 WHERE shop = 3 AND id % 2 = 0;
DELETE FROM follow.item WHERE shop = 3 AND id % 3 = 0;
UPDATE follow.copy SET amount = 1000000 + id WHERE shop = 3 AND id IN (9999, 9997);
SET client_min_messages = notice;
SELECT * FROM conveyor.verify_job('items', 'copy items', 'SELECT shop, id, amount FROM follow.copy');
SELECT * FROM conveyor.verify_job('items', 'copy items', 'SELECT shop, id, amount FROM follow.copy', repair => true);
SET client_min_messages = warning;
SELECT conveyor.follow_window(follow.job('copy items')) > 0 AS applied;
SELECT * FROM conveyor.verify_job('items', 'copy items', 'SELECT shop, id, amount FROM follow.copy');
-- What cannot be compared.
SELECT * FROM conveyor.verify_job('sales', 'copy sales', 'SELECT 1; SELECT 2');
SELECT * FROM conveyor.verify_job('sales', 'copy sales', 'DELETE FROM follow.sale_copy');
SELECT * FROM conveyor.verify_job('sales', 'copy sales', 'WITH d AS (DELETE FROM follow.sale_copy RETURNING *) SELECT shop, number FROM d');
SELECT * FROM conveyor.verify_job('sales', 'copy sales', 'SELECT shop, number FROM follow.sale_copy FOR UPDATE');
SELECT * FROM conveyor.verify_job('sales', 'copy sales', 'SELECT shop, number, note FROM follow.sale_copy');
SELECT * FROM conveyor.verify_job('sales', 'copy sales', 'SELECT shop FROM follow.sale_copy');
SELECT * FROM conveyor.verify_job('sales', 'copy sales', 'SELECT shop, shop, number FROM follow.sale_copy');
SELECT * FROM conveyor.verify_job('sales', 'copy sales', 'SELECT shop, number::text FROM follow.sale_copy');
SELECT * FROM conveyor.verify_job('sales', 'copy sales', 'SELECT nothing FROM follow.sale_copy');
SELECT * FROM conveyor.verify_job('sales', 'nothing', 'SELECT 1');
-- One call repairs a bounded number of keys, and says how to go on. Nothing is locked for the job until all is compared.
CREATE TABLE follow.wide (id int PRIMARY KEY, v int);
CREATE TABLE follow.wide_copy (id int PRIMARY KEY, v int);
INSERT INTO follow.wide SELECT n, n FROM generate_series(1, 10500) AS n;
SELECT conveyor.create_migration('wide');
SELECT conveyor.add_job('wide', 'copy wide', 'follow.wide', follow => true, options => '{"delete_statement": "DELETE FROM follow.wide_copy t USING gone WHERE t.id = gone.id"}',
    statement => 'INSERT INTO follow.wide_copy SELECT * FROM batch ON CONFLICT (id) DO UPDATE SET v = excluded.v');
CALL follow.copy('copy wide');
TRUNCATE follow.wide_copy;
INSERT INTO follow.wide_copy VALUES (20000, 1);
SET client_min_messages = notice;
SELECT problem, detail, count(*) FROM conveyor.verify_job('wide', 'copy wide', 'SELECT * FROM follow.wide_copy', repair => true) GROUP BY 1, 2 ORDER BY 1, 2;
SELECT problem, detail, count(*) FROM conveyor.verify_job('wide', 'copy wide', 'SELECT * FROM follow.wide_copy', repair => true) GROUP BY 1, 2 ORDER BY 1, 2;
SELECT * FROM conveyor.verify_job('wide', 'copy wide', 'SELECT * FROM follow.wide_copy', repair => true);
UPDATE follow.wide SET v = 0 WHERE id = 7;
SELECT * FROM conveyor.verify_job('wide', 'copy wide', 'SELECT * FROM follow.wide_copy');
-- What is read for a repair must be what is there behind the lock.
DELETE FROM follow.wide_copy WHERE id = 8;
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT * FROM conveyor.verify_job('wide', 'copy wide', 'SELECT * FROM follow.wide_copy');
SELECT * FROM conveyor.verify_job('wide', 'copy wide', 'SELECT * FROM follow.wide_copy', repair => true);
ROLLBACK;
SET client_min_messages = warning;
SELECT conveyor.cancel_migration('wide'), conveyor.drop_migration('wide');
