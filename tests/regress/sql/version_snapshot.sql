-- Versions never fall, and a snapshot contains another only if it has seen everything that the other has seen.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS pg_conveyor;

-- a later snapshot contains an earlier one; what ran in the later must have run in the earlier
SELECT conveyor.snapshot_contains(later::pg_snapshot, earlier::pg_snapshot) AS contains, later, earlier, why
  FROM (VALUES ('10:20:',      '10:20:',      'the same'),
               ('10:21:',      '10:20:',      'later'),
               ('10:19:',      '10:20:',      'transaction 19 has ended in the earlier one only'),
               ('10:20:12',    '10:20:12',    'the same one runs'),
               ('10:20:12,15', '10:20:12,15', 'the same ones run'),
               ('10:20:12',    '10:20:12,15', '15 has ended meanwhile'),
               ('10:20:12,15', '10:20:12',    '15 had ended before'),
               ('10:25:12,22', '10:20:12',    '22 came later'),
               ('15:25:22',    '10:20:12',    '12 has ended, 22 came later'),
               ('10:25:11',    '10:20:12',    '11 had ended before'),
               ('20:20:',      '10:20:11,19', 'all have ended')) AS c(later, earlier, why);

-- the epoch is above everything that the counter can reach
SELECT conveyor.snapshot_version(2) >> 48 AS epoch, conveyor.snapshot_version(1) < conveyor.snapshot_version(2) AS above;
SELECT conveyor.snapshot_version(32767) > 0 AS fits;
SELECT conveyor.snapshot_version(32768);
SELECT conveyor.snapshot_version(-1);

-- a version rises when a transaction ends
SELECT conveyor.snapshot_version(0) AS before \gset
CREATE TEMP TABLE version_t (x int);
SELECT conveyor.snapshot_version(0) > :before AS ended;
