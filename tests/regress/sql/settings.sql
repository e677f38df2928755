-- Settings have units, ranges and clear errors; only superusers change them.
SELECT conveyor.log_size() >= 0 AS loaded;
SELECT name, setting, unit, min_val, max_val, context, enumvals FROM pg_settings WHERE name LIKE 'conveyor.%' ORDER BY name;
SET conveyor.segment_transactions = 3;
SET conveyor.max_log_size = 0;
-- Majors word this one differently.
\set VERBOSITY sqlstate
SET conveyor.buffer_size = '1kB';
\set VERBOSITY default
SET conveyor.on_capture_error = 'ignore';
SET conveyor.failpoint = 'somewhere=dance';
SET conveyor.no_such_thing = 1;
CREATE ROLE conveyor_test_user;
SET ROLE conveyor_test_user;
SET conveyor.on_capture_error = mark;
RESET ROLE;
DROP ROLE conveyor_test_user;
