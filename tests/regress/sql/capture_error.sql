-- A change that cannot be recorded: by default it does not happen; with `mark` it does, and asks for a re-check.
CREATE TABLE risk (id int PRIMARY KEY);
SELECT test.watch('risk', '{id}', '{id}');
SET conveyor.failpoint = 'log_write=error';
INSERT INTO risk VALUES (1);
BEGIN;
INSERT INTO risk VALUES (2);
COMMIT;
SELECT * FROM risk;
RESET conveyor.failpoint;
SELECT * FROM test.captured();

-- Keys cannot be written, the mark can.
SET conveyor.on_capture_error = mark;
SET conveyor.failpoint = 'log_pack=error';
BEGIN;
INSERT INTO risk VALUES (3);
SAVEPOINT a;
INSERT INTO risk VALUES (4);
RELEASE a;
COMMIT;
RESET conveyor.failpoint;
SELECT * FROM risk;
SELECT * FROM test.captured();
-- Even the mark cannot be written: then the change does not happen, whatever the policy.
SET conveyor.failpoint = 'log_write=error';
INSERT INTO risk VALUES (5);
RESET conveyor.failpoint;
SELECT * FROM risk;
SELECT * FROM test.captured();
-- Cancelled is cancelled: no mark stands in for that.
SET conveyor.buffer_size = '64kB';
SET conveyor.failpoint = 'log_pack=sleep:1000';
SET statement_timeout = '100ms';
INSERT INTO risk SELECT n FROM generate_series(10, 5000) AS n;
RESET statement_timeout;
RESET conveyor.failpoint;
RESET conveyor.buffer_size;
SELECT * FROM risk;
SELECT * FROM test.captured();
RESET conveyor.on_capture_error;
SELECT test.unwatch('risk');
