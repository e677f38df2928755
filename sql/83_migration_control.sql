-- 83: what becomes of a migration: start, pause, resume, cancel, retry, and waiting for its end.
-- Whoever changes states locks in this order: the rows of job_state by id, then the row of migration_state.

CREATE FUNCTION conveyor.lock_migration(migration text) RETURNS void
    LANGUAGE sql
    SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT FROM conveyor.job_state s JOIN conveyor.job_definition j USING (id) WHERE j.migration = lock_migration.migration ORDER BY s.id FOR UPDATE OF s;
    SELECT FROM conveyor.migration_state s WHERE s.migration = lock_migration.migration FOR UPDATE;
END;

-- The one function that changes the state of a migration. `note` is the reason of a pause, or the error of a failure.
CREATE FUNCTION conveyor.migration_enters(migration text, to_state text, note text DEFAULT NULL) RETURNS void
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    UPDATE conveyor.migration_state s
       SET state = to_state,
           paused_reason = CASE WHEN to_state = 'paused' THEN note END,
           last_error = CASE WHEN to_state = 'failed' THEN note WHEN to_state IN ('running', 'finished') THEN NULL ELSE s.last_error END,
           started_at = CASE WHEN to_state IN ('planned', 'cancelled') THEN s.started_at ELSE coalesce(s.started_at, clock_timestamp()) END,
           finished_at = CASE WHEN to_state IN ('finished', 'cancelled') THEN coalesce(s.finished_at, clock_timestamp()) END,
           updated_at = clock_timestamp()
     WHERE s.migration = migration_enters.migration;
END
$$;

-- The one function that changes the state of a job. Tells the migration, which may be at its end by that.
CREATE FUNCTION conveyor.job_enters(job int, to_state text, error text DEFAULT NULL) RETURNS void
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    UPDATE conveyor.job_state s
       SET state = to_state,
           last_error = CASE WHEN to_state = 'failed' THEN error WHEN to_state = 'cancelled' THEN s.last_error ELSE NULL END,
           throttle = NULL,
           cursor = CASE WHEN to_state NOT IN ('finished', 'cancelled') THEN s.cursor END,
           started_at = CASE WHEN to_state IN ('planned', 'cancelled') THEN s.started_at ELSE coalesce(s.started_at, clock_timestamp()) END,
           finished_at = CASE WHEN to_state IN ('finished', 'cancelled') THEN coalesce(s.finished_at, clock_timestamp()) END,
           updated_at = clock_timestamp()
     WHERE s.id = job;
    PERFORM conveyor.settle_migration((conveyor.find_job(job)).migration);
END
$$;

-- The job of each list that its runner is at, or would be: the first that is neither finished nor following.
CREATE FUNCTION conveyor.list_heads(migration text) RETURNS TABLE (list text, job int, state text)
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT DISTINCT ON (j.list) j.list, j.id, s.state
      FROM conveyor.job_definition j JOIN conveyor.job_state s USING (id)
     WHERE j.migration = list_heads.migration AND s.state NOT IN ('finished', 'following')
     ORDER BY j.list, j.id;
END;

-- The job that stands for a list in locks: its first. Jobs are added to a plan, and leave with it only.
CREATE FUNCTION conveyor.first_of_list(migration text, list text) RETURNS int
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT min(j.id) FROM conveyor.job_definition j WHERE j.migration = first_of_list.migration AND j.list = first_of_list.list;
END;

-- Does a session run this list? It is known by the advisory lock that it holds (extension/migrate/lock.hpp).
CREATE FUNCTION conveyor.runner_alive(migration text, list text) RETURNS boolean
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT EXISTS (SELECT FROM pg_locks k
                    WHERE k.locktype = 'advisory' AND k.granted AND k.objsubid = 101 AND k.objid = 0
                      AND k.classid = conveyor.first_of_list(runner_alive.migration, runner_alive.list)::bigint::oid
                      AND k.database = (SELECT d.oid FROM pg_database d WHERE d.datname = current_database()));
END;

-- Ends a migration where nothing is left to do, or nothing can be done any more. Its row is locked before the jobs are looked at,
-- so of two jobs that end at once the later one sees both.
CREATE FUNCTION conveyor.settle_migration(migration text) RETURNS void
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    state   text;
    failure text;
BEGIN
    SELECT s.state INTO state FROM conveyor.migration_state s WHERE s.migration = settle_migration.migration FOR UPDATE;
    IF state IN ('running', 'finishing') AND NOT EXISTS (SELECT FROM conveyor.job_definition j JOIN conveyor.job_state s USING (id)
                                                          WHERE j.migration = settle_migration.migration AND s.state <> 'finished') THEN
        PERFORM conveyor.migration_enters(migration, 'finished');
        PERFORM conveyor.write_journal('finish migration', migration);
    ELSIF state = 'running' AND NOT EXISTS (SELECT FROM conveyor.list_heads(migration) AS h WHERE h.state IN ('planned', 'running'))
          AND NOT EXISTS (SELECT FROM conveyor.job_definition j JOIN conveyor.job_state s USING (id)
                           WHERE j.migration = settle_migration.migration AND s.state = 'following') THEN
        SELECT string_agg(format('%s: %s', j.job, coalesce(s.last_error, 'failed')), '; ' ORDER BY j.id) INTO failure
          FROM conveyor.job_definition j JOIN conveyor.job_state s USING (id)
         WHERE j.migration = settle_migration.migration AND s.state = 'failed';
        PERFORM conveyor.migration_enters(migration, 'failed', failure);
        PERFORM conveyor.write_journal('fail migration', migration, failure);
    END IF;
END
$$;

-- What a background worker needs to log in as the migration's owner: its failure would be seen in the server's log only.
CREATE FUNCTION conveyor.check_worker_login(migration text) RETURNS void
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    definition conveyor.migration_definition := conveyor.find_migration(migration);
    of_owner   pg_roles;
BEGIN
    SELECT r.* INTO of_owner FROM pg_roles r WHERE r.oid = definition.owner;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'the owner of migration "%" does not exist any more', migration
            USING ERRCODE = 'undefined_object', DETAIL = format('It was the role with oid %s.', definition.owner::oid),
                  HINT = format('Run SELECT conveyor.drop_migration(%L) and create it as a role that exists.', migration);
    -- From 17 on a worker may be a role that cannot log in.
    ELSIF NOT of_owner.rolcanlogin AND current_setting('server_version_num')::int < 170000 THEN
        RAISE EXCEPTION 'role "%", which owns migration "%", may not log in', of_owner.rolname, migration
            USING ERRCODE = 'invalid_authorization_specification', DETAIL = 'Background workers log in as the migration''s owner.',
                  HINT = format('Run ALTER ROLE %I LOGIN; it needs no password for that.', of_owner.rolname);
    ELSIF NOT has_database_privilege(of_owner.oid, current_database(), 'CONNECT') THEN
        RAISE EXCEPTION 'role "%", which owns migration "%", may not connect to database "%"', of_owner.rolname, migration, current_database()
            USING ERRCODE = 'insufficient_privilege', DETAIL = 'Background workers log in as the migration''s owner.',
                  HINT = format('Run GRANT CONNECT ON DATABASE %I TO %I.', current_database(), of_owner.rolname);
    ELSIF of_owner.rolconnlimit = 0 AND NOT of_owner.rolsuper THEN
        RAISE EXCEPTION 'role "%", which owns migration "%", may not connect: its limit is 0 connections', of_owner.rolname, migration
            USING ERRCODE = 'too_many_connections', DETAIL = 'Background workers log in as the migration''s owner.',
                  HINT = format('Run ALTER ROLE %I CONNECTION LIMIT -1.', of_owner.rolname);
    ELSIF NOT has_schema_privilege(of_owner.oid, 'conveyor', 'USAGE') THEN
        RAISE EXCEPTION 'role "%", which owns migration "%", may not use schema conveyor', of_owner.rolname, migration
            USING ERRCODE = 'insufficient_privilege', HINT = format('Run GRANT conveyor_operator TO %I.', of_owner.rolname);
    ELSIF current_setting('max_worker_processes')::int = 0 THEN
        RAISE EXCEPTION 'this server has no background workers: max_worker_processes = 0'
            USING ERRCODE = 'configuration_limit_exceeded',
                  HINT = format('Run CALL conveyor.run_migration(%L), or ALTER SYSTEM SET max_worker_processes = 8 and restart the server.', migration);
    END IF;
END
$$;

-- Refuses to go on with a job whose batches have run by another definition than the present one.
CREATE FUNCTION conveyor.check_fingerprints(migration text) RETURNS void
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    changed record;
BEGIN
    FOR changed IN SELECT j.* FROM conveyor.job_definition j JOIN conveyor.job_state s USING (id)
                    WHERE j.migration = check_fingerprints.migration AND s.fingerprint IS NOT NULL AND s.state IN ('running', 'following', 'failed')
                      AND s.fingerprint IS DISTINCT FROM conveyor.job_fingerprint(j.id) ORDER BY j.id LOOP
        RAISE EXCEPTION 'job "%" of migration "%" is not what its batches have run by', changed.job, migration
            USING ERRCODE = 'object_not_in_prerequisite_state',
                  DETAIL = CASE WHEN changed.call IS NOT NULL
                                THEN format('The function %s, or the type of a key column of %s, was changed since.', changed.call, changed.source)
                                ELSE format('The type of a key column of %s was changed since.', changed.source) END,
                  HINT = format('Put back what was changed; or, if the batches to come may differ from those that have run, '
                                'run SELECT conveyor.resume_migration(%1$L, accept_changes => true) or conveyor.retry_migration(%1$L, accept_changes => true); '
                                'or begin anew: SELECT conveyor.cancel_migration(%1$L), conveyor.drop_migration(%1$L).', migration);
    END LOOP;
END
$$;

CREATE FUNCTION conveyor.accept_changes(migration text) RETURNS void
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    changed text;
BEGIN
    PERFORM conveyor.check_owner((conveyor.find_migration(migration)).owner, 'migration', migration);
    WITH accepted AS (
        UPDATE conveyor.job_state s SET fingerprint = conveyor.job_fingerprint(s.id)
          FROM conveyor.job_definition j
         WHERE j.id = s.id AND j.migration = accept_changes.migration AND s.fingerprint <> conveyor.job_fingerprint(s.id)
        RETURNING j.id, j.job),
    -- How long batches took says nothing of those to come.
    forgotten AS (DELETE FROM conveyor.job_batch b USING accepted AS a WHERE b.id = a.id)
    SELECT string_agg(a.job, ', ') INTO changed FROM accepted AS a;
    IF changed IS NOT NULL THEN
        PERFORM conveyor.write_journal('accept changes', migration, changed);
    END IF;
END
$$;

-- What stands before every run, of a background worker or in the foreground: the session is its owner's, who still may, and the
-- definitions are those that batches have run by. SET ROLE would be no boundary: the job's SQL could RESET it.
CREATE FUNCTION conveyor.check_runnable(migration text) RETURNS void
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    definition conveyor.migration_definition := conveyor.find_migration(migration);
    state      text;
BEGIN
    IF session_user::regrole IS DISTINCT FROM definition.owner OR conveyor.caller() <> session_user THEN
        RAISE EXCEPTION 'migration "%" runs only in a session of its owner', migration
            USING ERRCODE = 'insufficient_privilege',
                  DETAIL = format('It belongs to role %s, and this session is that of %I: the SQL of its jobs must run with no one else''s rights, and SET ROLE does not ensure that.',
                                  definition.owner, session_user),
                  HINT = format('Connect as %s, or let background workers do it: SELECT conveyor.start_migration(%L).', definition.owner, migration);
    END IF;
    SELECT s.state INTO state FROM conveyor.migration_state s WHERE s.migration = check_runnable.migration;
    IF state IS DISTINCT FROM 'running' THEN
        RAISE EXCEPTION 'migration "%" is not running: it is %', migration, coalesce(state, 'planned')
            USING ERRCODE = 'object_not_in_prerequisite_state', HINT = conveyor.next_step(migration, state);
    END IF;
    PERFORM conveyor.check_fingerprints(migration);
END
$$;

-- The command that brings a migration in this state further.
CREATE FUNCTION conveyor.next_step(migration text, state text) RETURNS text
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
RETURN CASE coalesce(state, 'planned')
           WHEN 'planned' THEN format('Run SELECT conveyor.start_migration(%L).', migration)
           WHEN 'running' THEN format('Run CALL conveyor.wait_finished(%L, ''1 h'').', migration)
           WHEN 'paused' THEN format('Run SELECT conveyor.resume_migration(%L).', migration)
           WHEN 'failed' THEN format('Run SELECT job, last_error FROM conveyor.job_status WHERE migration = %1$L; when what it names is mended, SELECT conveyor.retry_migration(%1$L).', migration)
           WHEN 'finishing' THEN 'Wait until conveyor.finish_migration() has ended.'
           WHEN 'cancelled' THEN format('To run it again, SELECT conveyor.drop_migration(%L) and create it anew.', migration)
           ELSE 'It is at its end.'
       END;

-- Checks what the caller of start_… and the like needs, and returns the state under its lock.
CREATE FUNCTION conveyor.control(migration text, owner_only boolean) RETURNS text
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    definition conveyor.migration_definition := conveyor.find_migration(migration);
BEGIN
    IF owner_only THEN
        PERFORM conveyor.check_owner(definition.owner, 'migration', migration);
    ELSE
        PERFORM conveyor.check_operator(definition.owner, 'migration', migration);
    END IF;
    PERFORM conveyor.put_migration_state(migration);
    PERFORM conveyor.lock_migration(migration);
    RETURN (SELECT s.state FROM conveyor.migration_state s WHERE s.migration = control.migration);
END
$$;

CREATE FUNCTION conveyor.cannot(verb text, migration text, state text) RETURNS void
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RAISE EXCEPTION 'cannot % migration "%": it is %', verb, migration, state
        USING ERRCODE = 'object_not_in_prerequisite_state', HINT = conveyor.next_step(migration, state);
END
$$;

-- start_migration: after commit, background workers begin with the first job of every list. One that runs already is left alone.
-- Tables touched: migration_state, journal_entry.
CREATE FUNCTION conveyor.start_migration(migration text) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    state text := conveyor.control(migration, true);
BEGIN
    IF state IN ('running', 'finishing', 'finished') THEN
        RAISE NOTICE 'migration "%" is % already', migration, state;
        RETURN;
    ELSIF state <> 'planned' THEN
        PERFORM conveyor.cannot('start', migration, state);
    ELSIF NOT EXISTS (SELECT FROM conveyor.job_definition j WHERE j.migration = start_migration.migration) THEN
        RAISE EXCEPTION 'migration "%" has no jobs', migration
            USING ERRCODE = 'object_not_in_prerequisite_state', HINT = format('Run SELECT conveyor.add_job(%L, …).', migration);
    END IF;
    PERFORM conveyor.check_worker_login(migration);
    PERFORM conveyor.migration_enters(migration, 'running');
    PERFORM conveyor.write_journal('start migration', migration);
    PERFORM conveyor.launch(migration);
END
$$;
COMMENT ON FUNCTION conveyor.start_migration(text) IS 'run a migration in background workers, from commit on; one that runs is left alone';

CREATE FUNCTION conveyor.pause_migration(migration text, reason text DEFAULT NULL) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    state text := conveyor.control(migration, false);
BEGIN
    IF state NOT IN ('running', 'paused') THEN
        PERFORM conveyor.cannot('pause', migration, state);
    END IF;
    PERFORM conveyor.migration_enters(migration, 'paused', reason);
    PERFORM conveyor.write_journal('pause migration', migration, reason);
END
$$;
COMMENT ON FUNCTION conveyor.pause_migration(text, text) IS 'begin no further batch until resume_migration(); those under way end';

-- resume_migration
--   accept_changes  go on although a called function or a key was changed since batches ran; the owner's to say
CREATE FUNCTION conveyor.resume_migration(migration text, accept_changes boolean DEFAULT false) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    state text := conveyor.control(migration, false);
BEGIN
    IF state = 'running' THEN
        RAISE NOTICE 'migration "%" is running already', migration;
        RETURN;
    ELSIF state <> 'paused' THEN
        PERFORM conveyor.cannot('resume', migration, state);
    END IF;
    IF accept_changes THEN
        PERFORM conveyor.accept_changes(migration);
    END IF;
    PERFORM conveyor.check_worker_login(migration);
    PERFORM conveyor.check_fingerprints(migration);
    PERFORM conveyor.migration_enters(migration, 'running');
    PERFORM conveyor.write_journal('resume migration', migration);
    PERFORM conveyor.settle_migration(migration);       -- a batch that was under way may have been the last
    PERFORM conveyor.launch(migration);
END
$$;
COMMENT ON FUNCTION conveyor.resume_migration(text, boolean) IS 'go on after pause_migration()';

CREATE FUNCTION conveyor.cancel_migration(migration text) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    state  text := conveyor.control(migration, true);
    of_job int;
BEGIN
    IF state = 'cancelled' THEN
        RETURN;
    ELSIF state IN ('finished', 'finishing') THEN
        PERFORM conveyor.cannot('cancel', migration, state);
    END IF;
    PERFORM conveyor.migration_enters(migration, 'cancelled');
    FOR of_job IN SELECT j.id FROM conveyor.job_definition j JOIN conveyor.job_state s USING (id)
                   WHERE j.migration = cancel_migration.migration AND s.state <> 'finished' ORDER BY j.id LOOP
        PERFORM conveyor.job_enters(of_job, 'cancelled');
    END LOOP;
    PERFORM conveyor.release_captures();
    PERFORM conveyor.write_journal('cancel migration', migration, 'was ' || state);
END
$$;
COMMENT ON FUNCTION conveyor.cancel_migration(text) IS 'end a migration for good; batches that are committed stay, those under way are rolled back';

-- retry_migration: failed jobs go on where they stopped, and dead rows are tried again, each as a batch of its own: it is one until that has succeeded.
-- Tables touched: job_state, job_range, migration_state, journal_entry.
CREATE FUNCTION conveyor.retry_migration(migration text, accept_changes boolean DEFAULT false) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    state  text := conveyor.control(migration, false);
    of_job record;
    revived bigint;
    rows   bigint := 0;
    jobs   bigint := 0;
BEGIN
    IF state NOT IN ('running', 'paused', 'failed', 'finished') THEN
        PERFORM conveyor.cannot('retry', migration, state);
    END IF;
    IF accept_changes THEN
        PERFORM conveyor.accept_changes(migration);
    END IF;
    PERFORM conveyor.check_fingerprints(migration);
    FOR of_job IN SELECT s.* FROM conveyor.job_definition j JOIN conveyor.job_state s USING (id) WHERE j.migration = retry_migration.migration ORDER BY j.id LOOP
        INSERT INTO conveyor.job_range (id, range, worker, last_key, single, rows)
        SELECT of_job.id, of_job.ranges + row_number() OVER (ORDER BY d.first_at, d.key), 0, d.parts, true, 1
          FROM conveyor.dead_row_store d
         WHERE d.id = of_job.id AND NOT EXISTS (SELECT FROM conveyor.job_range r WHERE r.id = of_job.id AND r.single AND r.last_key = d.parts);
        GET DIAGNOSTICS revived = ROW_COUNT;
        UPDATE conveyor.job_range r SET attempts = 0, not_before = NULL WHERE r.id = of_job.id AND (r.attempts > 0 OR r.not_before IS NOT NULL);
        UPDATE conveyor.job_state s SET ranges = s.ranges + revived, updated_at = clock_timestamp() WHERE s.id = of_job.id AND revived > 0;
        rows := rows + revived;
        jobs := jobs + (of_job.state = 'failed')::int;
        IF of_job.state = 'failed' OR (revived > 0 AND of_job.state IN ('finished', 'following')) THEN
            PERFORM conveyor.job_enters(of_job.id, 'running');
        END IF;
    END LOOP;
    IF rows + jobs = 0 THEN
        RAISE NOTICE 'migration "%" has neither failed jobs nor dead rows', migration;
        RETURN;
    END IF;
    IF state IN ('failed', 'finished') THEN
        PERFORM conveyor.check_worker_login(migration);
        PERFORM conveyor.migration_enters(migration, 'running');
    END IF;
    PERFORM conveyor.write_journal('retry migration', migration, format('%s failed jobs, %s dead rows', jobs, rows));
    PERFORM conveyor.launch(migration);
END
$$;
COMMENT ON FUNCTION conveyor.retry_migration(text, boolean) IS 'go on with failed jobs, and try dead rows again';
