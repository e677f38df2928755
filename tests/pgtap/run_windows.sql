-- Run windows: when batches may begin, over midnight and in the nights in which clocks change.
BEGIN;
\ir migration.psql
SET TimeZone = 'America/New_York';        -- which must not matter
SELECT plan(30);

-- closed_until() as the reader sees it, without its title.
CREATE FUNCTION pg_temp.closed(run_window text, moment timestamptz) RETURNS text LANGUAGE sql AS
    $$ SELECT coalesce(substring(conveyor.closed_until(string_to_array(run_window, ';'), moment) FROM 'run_windows: closed until (.*)'), 'open') $$;

SELECT is(pg_temp.closed(run_window, moment::timestamptz), expected, format('%s at %s: %s', run_window, moment, expected))
  FROM (VALUES
    -- within a day, borders: the first minute is open, the last one is not
    ('09:00-17:00 UTC', '2026-03-10 08:59:59 UTC', '2026-03-10 09:00 UTC'),
    ('09:00-17:00 UTC', '2026-03-10 09:00 UTC', 'open'),
    ('09:00-17:00 UTC', '2026-03-10 16:59:59 UTC', 'open'),
    ('09:00-17:00 UTC', '2026-03-10 17:00 UTC', '2026-03-11 09:00 UTC'),
    ('00:00-24:00 UTC', '2026-03-10 23:59:59 UTC', 'open'),
    -- over midnight, in a zone of its own
    ('22:00-06:00 Europe/Berlin', '2026-01-10 21:59 Europe/Berlin', '2026-01-10 22:00 Europe/Berlin'),
    ('22:00-06:00 Europe/Berlin', '2026-01-10 23:00 Europe/Berlin', 'open'),
    ('22:00-06:00 Europe/Berlin', '2026-01-11 05:59 Europe/Berlin', 'open'),
    ('22:00-06:00 Europe/Berlin', '2026-01-11 06:00 Europe/Berlin', '2026-01-11 22:00 Europe/Berlin'),
    -- days are those on which it opens: Friday's night is open on Saturday morning, Sunday's morning is not Friday's
    ('Fri 22:00-06:00 UTC', '2026-01-10 05:00 UTC', 'open'),
    ('Fri 22:00-06:00 UTC', '2026-01-11 05:00 UTC', '2026-01-16 22:00 UTC'),
    ('Sat,Sun 00:00-24:00 UTC', '2026-01-09 12:00 UTC', '2026-01-10 00:00 UTC'),
    ('Sat,Sun 00:00-24:00 UTC', '2026-01-11 23:59 UTC', 'open'),
    ('Mon-Fri 20:00-04:00 UTC', '2026-01-10 03:00 UTC', 'open'),
    ('Mon-Fri 20:00-04:00 UTC', '2026-01-11 03:00 UTC', '2026-01-12 20:00 UTC'),
    ('Sat-Mon 01:00-02:00 UTC', '2026-01-12 01:30 UTC', 'open'),
    ('Sat-Mon 01:00-02:00 UTC', '2026-01-13 01:30 UTC', '2026-01-17 01:00 UTC'),
    -- the night in which clocks go forward (2026-03-29, 02:00 is 03:00): an hour shorter, and 02:00 to 03:00 does not come
    ('22:00-06:00 Europe/Berlin', '2026-03-29 03:30 UTC', 'open'),
    ('22:00-06:00 Europe/Berlin', '2026-03-29 04:00 UTC', '2026-03-29 22:00 Europe/Berlin'),
    ('02:00-03:00 Europe/Berlin', '2026-03-29 01:00 UTC', '2026-03-30 02:00 Europe/Berlin'),
    ('Sun 02:00-03:00 Europe/Berlin', '2026-03-28 12:00 UTC', '2026-04-05 02:00 Europe/Berlin'),
    -- and back (2026-10-25, 03:00 is 02:00): an hour longer, and what ends in the hour that comes twice does not open twice
    ('22:00-06:00 Europe/Berlin', '2026-10-25 04:59 UTC', 'open'),
    ('22:00-06:00 Europe/Berlin', '2026-10-25 05:00 UTC', '2026-10-25 22:00 Europe/Berlin'),
    ('01:00-02:30 Europe/Berlin', '2026-10-25 00:45 UTC', 'open'),
    ('01:00-02:30 Europe/Berlin', '2026-10-25 01:29 UTC', 'open'),
    ('01:00-02:30 Europe/Berlin', '2026-10-25 01:30 UTC', '2026-10-26 01:00 Europe/Berlin'),
    -- several: any of them
    ('01:00-02:00 UTC;13:00-14:00 Europe/Berlin', '2026-01-10 12:30 UTC', 'open'),
    ('01:00-02:00 UTC;13:00-14:00 Europe/Berlin', '2026-01-10 02:00 UTC', '2026-01-10 13:00 Europe/Berlin')) AS c(run_window, moment, expected);
SELECT is(conveyor.closed_until('{}', now()), NULL, 'without windows it is always open');

-- A job says so.
SELECT conveyor.add_job('split', 'copy', 'legacy.orders', :'statement', options => jsonb_build_object('run_windows', ARRAY[
    to_char((now() + interval '2 h') AT TIME ZONE 'UTC', 'HH24:MI') || to_char((now() + interval '3 h') AT TIME ZONE 'UTC', '-HH24:MI "UTC"')])) \g /dev/null
SELECT is(conveyor.job_throttle(pg_temp.id('copy')), 'run_windows: closed until ' || to_char((now() + interval '2 h') AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI "UTC"'),
    'a job outside of its windows is held, and says until when');

SELECT * FROM finish();
ROLLBACK;
