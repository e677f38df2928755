-- Ends of ranges are found by walking the pages of the key's index: batches have as many rows as they should, whatever the pages hold.
SET client_min_messages = error;
CREATE EXTENSION IF NOT EXISTS pg_conveyor;
CREATE SCHEMA migrate_walk;
SET search_path = migrate_walk;

CREATE TABLE clean (id int PRIMARY KEY);
INSERT INTO clean SELECT g FROM generate_series(1, 10000) g;
VACUUM (FREEZE, ANALYZE) clean;
CREATE TABLE fresh (id int PRIMARY KEY);
INSERT INTO fresh SELECT g FROM generate_series(1, 10000) g;
CREATE TABLE falling (id int NOT NULL);
CREATE UNIQUE INDEX ON falling (id DESC);
INSERT INTO falling SELECT g FROM generate_series(1, 10000) g;
-- Entries whose rows are gone; then pages that are given up; and what a scan has marked as dead.
CREATE TABLE thinned (id int PRIMARY KEY);
INSERT INTO thinned SELECT g FROM generate_series(1, 20000) g;
DELETE FROM thinned WHERE id % 2 = 0;
CREATE TABLE gap (id int PRIMARY KEY);
INSERT INTO gap SELECT g FROM generate_series(1, 20000) g;
DELETE FROM gap WHERE id BETWEEN 4001 AND 14000;
VACUUM gap;
CREATE TABLE marked (id int PRIMARY KEY);
INSERT INTO marked SELECT g FROM generate_series(1, 20000) g;
DELETE FROM marked WHERE id <= 10000;
SET enable_seqscan = off;
SELECT count(*) FROM marked WHERE id <= 15000;
RESET enable_seqscan;
-- Six versions of each row, which the index keeps together.
CREATE TABLE churned (id int PRIMARY KEY, x int NOT NULL DEFAULT 0);
CREATE INDEX ON churned (x);
INSERT INTO churned SELECT g FROM generate_series(1, 10000) g;
BEGIN;
UPDATE churned SET x = 1;
UPDATE churned SET x = 2;
UPDATE churned SET x = 3;
UPDATE churned SET x = 4;
UPDATE churned SET x = 5;
COMMIT;
CREATE TABLE pairs (a int, b text, c text COLLATE "de-x-icu", PRIMARY KEY (a, b, c));
INSERT INTO pairs SELECT g % 3, 'b' || g % 7, chr(97 + g % 26) || g FROM generate_series(1, 10000) g;
-- Few entries to a page.
CREATE TABLE wide (id text PRIMARY KEY);
INSERT INTO wide SELECT string_agg(md5(g::text || n), '') FROM generate_series(1, 10000) g, generate_series(1, 30) n GROUP BY g;

SELECT conveyor.create_migration('migrate_walk', '{"batch_size": 900, "min_batch_size": 900, "max_batch_size": 900, "throttles": {"dead_rows": false}}');
SELECT conveyor.add_job('migrate_walk', c.relname, c.oid::regclass, key => CASE c.relname WHEN 'falling' THEN '{id}'::text[] END,
                        statement => 'SELECT count(*) FROM batch')
  FROM pg_class c WHERE c.relnamespace = 'migrate_walk'::regnamespace AND c.relkind = 'r' ORDER BY c.relname;
CALL conveyor.run_migration('migrate_walk');
SELECT d.job, s.state, s.rows_done, array_agg(b.rows ORDER BY b.number) AS batches
  FROM conveyor.job_definition d JOIN conveyor.job_status s USING (migration, job) JOIN conveyor.job_batch b USING (id)
 WHERE d.migration = 'migrate_walk' GROUP BY 1, 2, 3 ORDER BY 1;

-- What comes behind the job's end, on its last page too, is not counted.
SELECT conveyor.create_migration('migrate_walk_end', '{"batch_size": 9900, "min_batch_size": 9900, "max_batch_size": 9900}');
SELECT conveyor.add_job('migrate_walk_end', c.relname, c.oid::regclass, key => '{id}', list => c.relname, statement => 'SELECT count(*) FROM batch')
  FROM pg_class c WHERE c.oid IN ('clean'::regclass, 'falling'::regclass) ORDER BY c.relname;
SELECT conveyor.run_begin('migrate_walk_end');
SELECT job, conveyor.run_batch(id) FROM conveyor.job_definition WHERE migration = 'migrate_walk_end' ORDER BY id;
INSERT INTO clean SELECT g FROM generate_series(10001, 11000) g;
INSERT INTO falling SELECT g FROM generate_series(10001, 11000) g;
CALL conveyor.run_migration('migrate_walk_end');
SELECT d.job, s.state, array_agg(b.rows ORDER BY b.number) AS batches, s.last_key
  FROM conveyor.job_definition d JOIN conveyor.job_status s USING (migration, job) JOIN conveyor.job_batch b USING (id)
 WHERE d.migration = 'migrate_walk_end' GROUP BY 1, 2, 4 ORDER BY 1;

SELECT conveyor.drop_migration(m) FROM unnest('{migrate_walk,migrate_walk_end}'::text[]) AS m;
DROP SCHEMA migrate_walk CASCADE;
