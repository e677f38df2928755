-- The auditor names what keeps a migration from going on, with the command that mends it.
BEGIN;
\ir migration.psql
SELECT plan(12);
CREATE FUNCTION legacy.move(first bigint, last bigint) RETURNS void LANGUAGE sql AS $$ SELECT $$;
CREATE ROLE alice LOGIN;
SELECT conveyor.add_job('split', 'copy', 'legacy.orders', :'statement', list => 'a'),
       conveyor.add_job('split', 'move', 'legacy.orders', call => 'legacy.move(bigint, bigint)', list => 'b') \g /dev/null
UPDATE conveyor.migration_definition SET owner = 'alice';
GRANT conveyor_operator TO alice;
SELECT conveyor.start_migration('split') \g /dev/null
UPDATE conveyor.job_state SET state = 'running', started_at = now(), fingerprint = conveyor.job_fingerprint(id);

-- What the auditor finds after a change, one line each; the change is undone.
CREATE FUNCTION pg_temp.found_after(change text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    found text;
BEGIN
    EXECUTE change;
    SELECT string_agg(concat_ws(' | ', a.object, regexp_replace(a.problem, '\d+', 'N', 'g'), a.remedy), E'\n' ORDER BY a.object, a.problem) INTO found
      FROM conveyor.audit() AS a WHERE a.object LIKE '%migration%';
    RAISE EXCEPTION 'undo' USING ERRCODE = 'ZZ001';
EXCEPTION WHEN SQLSTATE 'ZZ001' THEN
    RETURN found;
END $$;
SELECT is(pg_temp.found_after('SELECT 1'), NULL, 'a migration that can go on is no finding');
SELECT is(pg_temp.found_after(change), expected, change)
  FROM (VALUES
    ('DROP TABLE legacy.orders', E'job copy of migration split | its source with oid N does not exist any more | SELECT conveyor.cancel_migration(''split''), conveyor.drop_migration(''split'')\n'
                                 'job move of migration split | its source with oid N does not exist any more | SELECT conveyor.cancel_migration(''split''), conveyor.drop_migration(''split'')'),
    ('DROP FUNCTION legacy.move(bigint, bigint)', 'job move of migration split | the function with oid N that it calls does not exist any more | '
                                 'SELECT conveyor.cancel_migration(''split''), conveyor.drop_migration(''split''), then create it anew'),
    ($$CREATE OR REPLACE FUNCTION legacy.move(first bigint, last bigint) RETURNS void LANGUAGE sql AS 'SELECT 1'$$,
                                 'job move of migration split | it is not what its batches have run by | put back what was changed, or SELECT conveyor.resume_migration(''split'', accept_changes => true) after a pause'),
    ('ALTER ROLE alice NOLOGIN', CASE WHEN current_setting('server_version_num')::int < 170000 THEN
                                 'migration split | its owner alice may not log in, so background workers cannot run it | ALTER ROLE alice LOGIN' END),
    (format('REVOKE CONNECT ON DATABASE %I FROM PUBLIC', current_database()),
                                 format('migration split | its owner alice may not connect to this database, so background workers cannot run it | GRANT CONNECT ON DATABASE %I TO alice', current_database())),
    ('REASSIGN OWNED BY alice TO CURRENT_USER; DROP OWNED BY alice; DROP ROLE alice',
                                 'migration split | its owner, the role with oid N, does not exist any more | SELECT conveyor.cancel_migration(''split''), conveyor.drop_migration(''split'')')) AS c(change, expected);
SELECT alike(pg_temp.found_after('ALTER TABLE legacy.orders RENAME id TO number'), '%job copy of migration split | column "id" of its key is not among the columns of its source legacy.orders | %', 'a key column that is gone');
-- What is at its end needs nothing any more.
SELECT conveyor.cancel_migration('split') \g /dev/null
SELECT is(pg_temp.found_after(change), NULL, 'cancelled: ' || change)
  FROM unnest('{DROP TABLE legacy.orders,"DROP FUNCTION legacy.move(bigint, bigint)",ALTER ROLE alice NOLOGIN}'::text[]) AS change;
SELECT is((SELECT count(*) FROM conveyor.migration_status), 1::bigint, 'the status can be read throughout');

SELECT * FROM finish();
ROLLBACK;
