-- Batches by any key: each row of the source is in exactly one, whatever the key's type, gaps and partitions.
SET client_min_messages = error;
CREATE EXTENSION IF NOT EXISTS pg_conveyor;
CREATE SCHEMA migrate_keys;
SET search_path = migrate_keys;
SET TimeZone = 'Asia/Tokyo';
SET DateStyle = 'German';
SET extra_float_digits = -5;
CREATE DOMAIN code AS text CHECK (length(VALUE) < 99);
CREATE TYPE size AS ENUM ('small', 'large', 'huge');

CREATE TABLE of_int (id int PRIMARY KEY);
INSERT INTO of_int SELECT g * g * (CASE WHEN g % 2 = 0 THEN 1 ELSE -1 END) FROM generate_series(1, 500) g;
CREATE TABLE of_bigint (id bigint PRIMARY KEY);
INSERT INTO of_bigint SELECT g FROM generate_series(1, 300) g UNION ALL SELECT 9223372036854775807 - g FROM generate_series(0, 300) g UNION ALL SELECT -9223372036854775808;
CREATE TABLE of_uuid (id uuid PRIMARY KEY);
INSERT INTO of_uuid SELECT md5(g::text)::uuid FROM generate_series(1, 500) g;
CREATE TABLE of_text (id text PRIMARY KEY);
INSERT INTO of_text SELECT CASE g % 4 WHEN 0 THEN chr(65 + g % 26) || '"\{},' || g WHEN 1 THEN repeat(' ', g % 7) || g WHEN 2 THEN 'ß' || g ELSE lower(chr(65 + g % 26)) || g END FROM generate_series(1, 500) g UNION ALL SELECT '';
CREATE TABLE of_icu (id text COLLATE "de-x-icu" PRIMARY KEY);
INSERT INTO of_icu SELECT id FROM of_text;
CREATE TABLE of_domain (id code PRIMARY KEY);
INSERT INTO of_domain SELECT id FROM of_text;
CREATE TABLE of_timestamp (id timestamptz PRIMARY KEY);
INSERT INTO of_timestamp SELECT '2026-10-25 00:00:00.000001+00'::timestamptz + g * interval '7 min 0.1 s' FROM generate_series(1, 500) g;
CREATE TABLE of_float (id float8 PRIMARY KEY);
INSERT INTO of_float SELECT (g::float8 / 3) ^ 7 FROM generate_series(1, 500) g UNION ALL VALUES ('-Infinity'::float8), ('NaN'), (1e-300);
CREATE TABLE of_numeric (id numeric PRIMARY KEY);
INSERT INTO of_numeric SELECT g::numeric / 7 FROM generate_series(1, 500) g;
CREATE TABLE of_bytea (id bytea PRIMARY KEY);
INSERT INTO of_bytea SELECT sha256(g::text::bytea) FROM generate_series(1, 500) g;
CREATE TABLE of_enum (id size PRIMARY KEY);
INSERT INTO of_enum VALUES ('huge'), ('small'), ('large');
CREATE TABLE of_pair (a int, b text, PRIMARY KEY (a, b));
INSERT INTO of_pair SELECT g % 3, g::text FROM generate_series(1, 600) g;
CREATE TABLE of_three (a int, b uuid, c date, PRIMARY KEY (a, b, c));
INSERT INTO of_three SELECT g % 2, md5((g % 5)::text)::uuid, '2026-01-01'::date + g FROM generate_series(1, 600) g;
CREATE TABLE of_unlike (a int, b text COLLATE "de-x-icu", c code, PRIMARY KEY (a, b, c));
INSERT INTO of_unlike SELECT g % 4, chr(65 + g % 5), g FROM generate_series(1, 600) g;
CREATE TABLE of_descending (id int NOT NULL, x int);
CREATE UNIQUE INDEX ON of_descending (id DESC);
INSERT INTO of_descending SELECT g FROM generate_series(1, 500) g;
CREATE TABLE of_partitions (region text, id int, PRIMARY KEY (region, id)) PARTITION BY LIST (region);
CREATE TABLE of_partitions_eu PARTITION OF of_partitions FOR VALUES IN ('de', 'fr');
CREATE TABLE of_partitions_else PARTITION OF of_partitions DEFAULT PARTITION BY RANGE (id);
CREATE TABLE of_partitions_low PARTITION OF of_partitions_else FOR VALUES FROM (MINVALUE) TO (100);
CREATE TABLE of_partitions_high PARTITION OF of_partitions_else FOR VALUES FROM (100) TO (MAXVALUE);
INSERT INTO of_partitions SELECT (ARRAY['de', 'us', 'fr', 'jp'])[1 + g % 4], g FROM generate_series(1, 600) g;
CREATE TABLE of_nothing (id int PRIMARY KEY);
CREATE TABLE of_one_row (id int PRIMARY KEY);
INSERT INTO of_one_row VALUES (-1);

-- A copy counts how often each row came.
CREATE TABLE copied (source text, key text, times int NOT NULL, PRIMARY KEY (source, key));
SELECT conveyor.create_migration('migrate_keys', '{"batch_size": 37, "max_batch_size": 37}');
SELECT conveyor.add_job('migrate_keys', c.relname, c.oid::regclass, key => CASE c.relname WHEN 'of_descending' THEN '{id}'::text[] END,
                        statement => format('INSERT INTO copied SELECT %L, whole::text, 1 FROM batch AS whole ON CONFLICT (source, key) DO UPDATE SET times = copied.times + 1', c.relname))
  FROM pg_class c WHERE c.relnamespace = 'migrate_keys'::regnamespace AND c.relname LIKE 'of\_%' AND c.relkind IN ('r', 'p') AND NOT c.relispartition
 ORDER BY c.relname;
CALL conveyor.run_migration('migrate_keys');
SELECT j.job, j.state, j.batches, j.rows_done, j.rows_total, j.percent, (SELECT count(*) FROM copied c WHERE c.source = j.job) AS copied,
       (SELECT max(times) FROM copied c WHERE c.source = j.job) AS times, j.last_error
  FROM conveyor.job_status j WHERE j.migration = 'migrate_keys' ORDER BY j.job;
SELECT state, jobs_finished, rows_done FROM conveyor.migration_status WHERE migration = 'migrate_keys';

-- Calls: ranges of integers tile all numbers from the first key to the last; of other types they begin at the next key there is.
CREATE TABLE called (n serial, first text, last text);
CREATE FUNCTION call_int(first int, last int) RETURNS void LANGUAGE sql AS 'INSERT INTO migrate_keys.called (first, last) VALUES (first, last)';
CREATE PROCEDURE call_pair(first_a int, first_b text, last_a bigint, last_b text) LANGUAGE sql AS
    'INSERT INTO migrate_keys.called (first, last) VALUES (first_a || first_b, last_a || last_b)';
CREATE TABLE gaps (id int PRIMARY KEY);
INSERT INTO gaps SELECT 1000000 * (g / 10) + g FROM generate_series(5, 44) g;
CREATE TABLE pairs (a int, b text, PRIMARY KEY (a, b));
INSERT INTO pairs SELECT g / 4, chr(97 + g % 4) FROM generate_series(0, 21) g;
SELECT conveyor.create_migration('migrate_calls', '{"batch_size": 8, "min_batch_size": 8, "max_batch_size": 8}');
SELECT conveyor.add_job('migrate_calls', 'gaps', 'gaps', call => 'call_int(int, int)');
SELECT conveyor.add_job('migrate_calls', 'pairs', 'pairs', call => 'call_pair(int, text, bigint, text)');
CALL conveyor.run_migration('migrate_calls');
SELECT first, last FROM called ORDER BY n;

-- A condition leaves rows out; where the job ends is fixed when it begins, and what comes behind that is told.
CREATE TABLE growing (id int PRIMARY KEY, wanted boolean);
INSERT INTO growing SELECT g, g % 3 = 0 FROM generate_series(1, 90) g;
CREATE TABLE grown (id int PRIMARY KEY);
SELECT conveyor.create_migration('migrate_end', '{"batch_size": 30, "max_batch_size": 30}');
-- Each batch adds a row to its own source.
SELECT conveyor.add_job('migrate_end', 'growing', 'growing', options => '{"where": "wanted -- a comment"}',
    statement => 'WITH more AS (INSERT INTO growing SELECT max(id) + 1000, true FROM batch) INSERT INTO grown SELECT id FROM batch');
CALL conveyor.run_migration('migrate_end');
SELECT count(*), min(id), max(id) FROM grown;
SELECT state, rows_done, rows_total, warning FROM conveyor.job_status WHERE migration = 'migrate_end';

SELECT conveyor.drop_migration(m) FROM unnest(ARRAY['migrate_keys', 'migrate_calls', 'migrate_end']) AS m;
DROP SCHEMA migrate_keys CASCADE;
