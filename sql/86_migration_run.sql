-- 86: who runs a migration: background workers and how they are begun, and sessions in the foreground.

-- Does a session apply the windows of this job? Known by its lock, as runner_alive().
CREATE FUNCTION conveyor.follower_alive(job int) RETURNS boolean
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT EXISTS (SELECT FROM pg_locks k
                    WHERE k.locktype = 'advisory' AND k.granted AND k.objsubid = 104 AND k.objid = 0 AND k.classid = follower_alive.job::bigint::oid
                      AND k.database = (SELECT d.oid FROM pg_database d WHERE d.datname = current_database()));
END;

-- What there is to do and nobody does: lists (worker 0), by the job that stands for each, and jobs to follow (worker -1); with the role
-- to log in as.
CREATE FUNCTION conveyor.due_workers(migration text DEFAULT NULL) RETURNS TABLE (job int, worker int, owner oid, title text)
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT conveyor.first_of_list(s.migration, h.list), 0, m.owner::oid, s.migration || '/' || h.list
      FROM conveyor.migration_state s
      JOIN conveyor.migration_definition m USING (migration)
     CROSS JOIN conveyor.list_heads(s.migration) AS h
     WHERE s.state = 'running' AND h.state IN ('planned', 'running')
       AND (due_workers.migration IS NULL OR s.migration = due_workers.migration)
       AND NOT conveyor.runner_alive(s.migration, h.list)
    UNION ALL
    SELECT j.id, -1, d.owner::oid, format('%s/%s follower', j.migration, j.job)
      FROM conveyor.job_definition j
      JOIN conveyor.job_state s USING (id)
      JOIN conveyor.migration_definition d USING (migration)
      JOIN conveyor.migration_state m USING (migration)
     WHERE s.cursor IS NOT NULL AND s.state IN ('planned', 'running', 'following') AND m.state IN ('running', 'finishing')
       AND (due_workers.migration IS NULL OR j.migration = due_workers.migration)
       AND NOT conveyor.follower_alive(j.id);
END;

-- launch: at the commit of this transaction, a background worker begins with each list that has work, and with each job
-- that is to be followed. launch_due: now, for all migrations that run; where no worker is to be had it says so in
-- job_state.throttle. Returns how many it could not begin.
CREATE FUNCTION conveyor.launch(migration text) RETURNS void
    LANGUAGE c STRICT
    AS 'MODULE_PATHNAME', 'conveyor_launch';
CREATE FUNCTION conveyor.launch_due() RETURNS int
    LANGUAGE c
    AS 'MODULE_PATHNAME', 'conveyor_launch_due';

-- The jobs at the head of these lists wait for a worker. Tables touched: job_state.
CREATE FUNCTION conveyor.wait_for_worker(first_of_list int) RETURNS void
    LANGUAGE sql
    SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    UPDATE conveyor.job_state s
       SET throttle = format('waits for a background worker: max_worker_processes = %s are in use', current_setting('max_worker_processes')),
           updated_at = clock_timestamp()
     WHERE s.id = conveyor.job_next(first_of_list);
END;

-- run_batch: one claim and one batch, in the caller's transaction; returns what happened. For tests, and for going through a job
-- step by step. Only the migration's owner.
CREATE FUNCTION conveyor.run_batch(job int, worker int DEFAULT 0) RETURNS text
    LANGUAGE c STRICT
    AS 'MODULE_PATHNAME', 'conveyor_run_batch';

CREATE PROCEDURE conveyor.run_migration(migration text)
    LANGUAGE c
    AS 'MODULE_PATHNAME', 'conveyor_run_migration';
COMMENT ON PROCEDURE conveyor.run_migration(text) IS
    'do the work of a migration in this session, with progress as notices; for its owner, outside of a transaction block';

-- What run_migration() begins with: a planned migration runs from here on, without background workers.
-- Tables touched: migration_state, journal_entry.
CREATE FUNCTION conveyor.run_begin(migration text) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    definition conveyor.migration_definition := conveyor.find_migration(migration);
BEGIN
    IF session_user::regrole IS DISTINCT FROM definition.owner OR conveyor.caller() <> session_user THEN
        PERFORM conveyor.check_runnable(migration);     -- which says why
    END IF;
    IF conveyor.control(migration, true) = 'planned' THEN
        IF NOT EXISTS (SELECT FROM conveyor.job_definition j WHERE j.migration = run_begin.migration) THEN
            RAISE EXCEPTION 'migration "%" has no jobs', migration
                USING ERRCODE = 'object_not_in_prerequisite_state', HINT = format('Run SELECT conveyor.add_job(%L, …).', migration);
        END IF;
        PERFORM conveyor.migration_enters(migration, 'running');
        PERFORM conveyor.write_journal('run migration', migration);
    END IF;
    IF (SELECT s.state FROM conveyor.migration_state s WHERE s.migration = run_begin.migration) <> 'finished' THEN
        PERFORM conveyor.check_runnable(migration);
    END IF;
END
$$;

-- The next list that a session in the foreground could go on with: one that nobody runs first. NULL when no list has work; then
-- `error` tells of jobs that failed, if there are any.
CREATE FUNCTION conveyor.run_next(migration text, OUT first_of_list int, OUT taken boolean, OUT state text, OUT error text)
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM conveyor.check_owner((conveyor.find_migration(migration)).owner, 'migration', migration);
    SELECT s.state, s.last_error INTO state, error FROM conveyor.migration_state s WHERE s.migration = run_next.migration;
    IF state <> 'running' THEN
        RETURN;
    END IF;
    SELECT conveyor.first_of_list(migration, h.list), conveyor.runner_alive(migration, h.list) INTO first_of_list, taken
      FROM conveyor.list_heads(migration) AS h
     WHERE h.state IN ('planned', 'running')
     ORDER BY 2, 1
     LIMIT 1;
    IF NOT FOUND THEN
        SELECT string_agg(format('%s: %s', j.job, s.last_error), '; ' ORDER BY j.id) INTO error
          FROM conveyor.job_definition j JOIN conveyor.job_state s ON s.id = j.id
         WHERE j.migration = run_next.migration AND s.state = 'failed';
    END IF;
END
$$;

-- What a worker's latest batches took, as they came: the guard of its next session goes on from there.
CREATE FUNCTION conveyor.job_history(job int, worker int, OUT rows float8[], OUT milliseconds float8[], OUT rows_before float8[])
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
    PERFORM conveyor.check_job_owner($1);
    SELECT array_agg(b.rows::float8 ORDER BY b.number), array_agg(b.milliseconds::float8 ORDER BY b.number), array_agg(b.rows_before::float8 ORDER BY b.number)
      INTO rows, milliseconds, rows_before
      FROM conveyor.job_batch b WHERE b.id = $1 AND b.worker = $2 AND NOT b.failed;
END
$$;

-- What run_migration() says of a job. Rows are those of the source that were gone through.
CREATE FUNCTION conveyor.job_rows(job int, OUT rows_done bigint, OUT rows_total bigint, OUT dead_rows bigint)
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT (SELECT coalesce(sum(w.rows_done), 0)::bigint FROM conveyor.job_worker w WHERE w.id = job), s.rows_total,
           (SELECT count(*) FROM conveyor.dead_row_store d WHERE d.id = job)
      FROM conveyor.job_state s WHERE s.id = job;
END;
