-- 87: the end of a migration: catch up, keep writers out for a moment, cut over.

-- One session at a time finishes a migration: a lock of the session's, which goes with it, and with its first transaction that
-- fails as a whole. The migration's first job stands for it.
CREATE FUNCTION conveyor.finish_claim(first_job int) RETURNS boolean
    LANGUAGE c VOLATILE STRICT AS 'MODULE_PATHNAME', 'conveyor_finish_claim';
CREATE FUNCTION conveyor.finish_leave(first_job int) RETURNS void
    LANGUAGE c VOLATILE STRICT AS 'MODULE_PATHNAME', 'conveyor_finish_leave';

CREATE FUNCTION conveyor.first_job(migration text) RETURNS int
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
RETURN (SELECT min(j.id) FROM conveyor.job_definition j WHERE j.migration = first_job.migration);

-- Jobs of the migration that follow their source, with it.
CREATE FUNCTION conveyor.followers(migration text) RETURNS TABLE (job int, source regclass)
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT j.id, j.source FROM conveyor.job_definition j JOIN conveyor.job_state s USING (id)
     WHERE j.migration = followers.migration AND s.cursor IS NOT NULL ORDER BY j.id;
END;

-- Is every row where it belongs, but for what the windows still bring?
CREATE FUNCTION conveyor.check_finishable(migration text, accept_dead_rows boolean) RETURNS void
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    obstacle record;
BEGIN
    SELECT j.job, s.state INTO obstacle FROM conveyor.job_definition j JOIN conveyor.job_state s USING (id)
     WHERE j.migration = check_finishable.migration AND s.state NOT IN ('following', 'finished') ORDER BY j.id LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'cannot finish migration "%": job "%" is %', migration, obstacle.job, obstacle.state
            USING ERRCODE = 'object_not_in_prerequisite_state',
                  DETAIL = 'Every row must have been copied before.',
                  HINT = CASE obstacle.state WHEN 'failed' THEN conveyor.next_step(migration, 'failed')
                              ELSE format('SELECT job, state, percent, eta FROM conveyor.job_status WHERE migration = %1$L tells how far it is; then call finish_migration() again.', migration) END;
    END IF;
    SELECT j.job, s.unverified INTO obstacle FROM conveyor.job_definition j JOIN conveyor.job_state s USING (id)
     WHERE j.migration = check_finishable.migration AND s.unverified IS NOT NULL ORDER BY j.id LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'cannot finish migration "%": the target of job "%" may have rows that are gone from its source', migration, obstacle.job
            USING ERRCODE = 'object_not_in_prerequisite_state',
                  DETAIL = format('The change log could not tell everything: %s.', obstacle.unverified),
                  HINT = format('Run SELECT * FROM conveyor.verify_job(%L, %L, ''SELECT … FROM the target'', repair => true), then call finish_migration() again.', migration, obstacle.job);
    END IF;
    SELECT j.job, count(*) AS rows INTO obstacle FROM conveyor.job_definition j JOIN conveyor.dead_row_store d USING (id)
     WHERE j.migration = check_finishable.migration GROUP BY j.id, j.job ORDER BY j.id LIMIT 1;
    IF FOUND AND NOT accept_dead_rows THEN
        RAISE EXCEPTION 'cannot finish migration "%": job "%" has dead rows: %', migration, obstacle.job, obstacle.rows
            USING ERRCODE = 'object_not_in_prerequisite_state',
                  DETAIL = 'They are not in the target, or not as they are in the source.',
                  HINT = format('SELECT key, reason FROM conveyor.dead_row WHERE migration = %1$L tells why. When that is mended, run SELECT conveyor.retry_migration(%1$L); '
                                'or leave them behind: CALL conveyor.finish_migration(%1$L, …, accept_dead_rows => true).', migration);
    END IF;
END
$$;

-- Checks what finish_migration() needs; false when the migration is at its end already.
-- Tables touched: migration_state.
CREATE FUNCTION conveyor.finish_begin(migration text, accept_dead_rows boolean) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    state text;
BEGIN
    PERFORM conveyor.check_owner_session(migration);
    IF conveyor.in_transaction_block() THEN
        RAISE EXCEPTION 'finish_migration cannot run inside a transaction block'
            USING ERRCODE = 'active_sql_transaction', DETAIL = 'What it catches up with commits before the sources are locked.',
                  HINT = format('Run CALL conveyor.finish_migration(%L, …) by itself; in Flyway, with executeInTransaction=false.', migration);
    END IF;
    state := conveyor.control(migration, true);
    IF state NOT IN ('running', 'finishing', 'finished') THEN
        PERFORM conveyor.cannot('finish', migration, state);
    ELSIF EXISTS (SELECT FROM conveyor.migration_state s WHERE s.migration = finish_begin.migration AND s.cutover_at IS NOT NULL AND s.state = 'finished') THEN
        RAISE NOTICE 'migration "%" is finished already', migration;
        RETURN false;
    END IF;
    PERFORM conveyor.check_finishable(migration, accept_dead_rows);
    IF NOT conveyor.finish_claim(conveyor.first_job(migration)) THEN
        RAISE EXCEPTION 'another session is finishing migration "%"', migration
            USING ERRCODE = 'object_in_use', HINT = format('Wait for it: SELECT state FROM conveyor.migration_status WHERE migration = %L.', migration);
    END IF;
    IF state = 'running' THEN
        PERFORM conveyor.migration_enters(migration, 'finishing');
    END IF;
    RETURN true;
END
$$;

-- What is left is applied, of all jobs that follow, in this transaction. Runs with the caller's rights.
CREATE FUNCTION conveyor.finish_rest(migration text) RETURNS bigint
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    follower int;
    keys     bigint := 0;
BEGIN
    FOR follower IN SELECT f.job FROM conveyor.followers(migration) AS f LOOP
        keys := keys + conveyor.follow_window(follower);
    END LOOP;
    RETURN keys;
END
$$;

-- Writers out, readers may stay; one table after another, all within `patience`. Runs with the caller's rights.
CREATE FUNCTION conveyor.finish_lock(migration text, patience interval) RETURNS void
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    deadline CONSTANT timestamptz := clock_timestamp() + patience;
    each     regclass;
    holders  text;
BEGIN
    FOR each IN SELECT DISTINCT f.source FROM conveyor.followers(migration) AS f ORDER BY f.source LOOP
        PERFORM set_config('lock_timeout', greatest(1, ceil(extract(epoch FROM deadline - clock_timestamp()) * 1000))::bigint::text, true);
        BEGIN
            EXECUTE format('LOCK TABLE %s IN EXCLUSIVE MODE', each);
        EXCEPTION WHEN lock_not_available THEN
            SELECT string_agg(DISTINCT l.pid::text, ', ') INTO holders
              FROM pg_locks l JOIN conveyor.capture_members(each) AS m ON m.member = l.relation
             WHERE l.granted AND l.pid <> pg_backend_pid() AND l.mode <> 'AccessShareLock'
               AND l.database = (SELECT d.oid FROM pg_database d WHERE d.datname = current_database());
            RAISE EXCEPTION 'could not lock % within %', each, patience
                USING ERRCODE = 'lock_not_available',
                      DETAIL = CASE WHEN holders IS NULL THEN 'Whoever held it has just let go of it.' ELSE format('Transactions of these processes hold it: %s.', holders) END;
        END;
    END LOOP;
    PERFORM set_config('lock_timeout', ceil(extract(epoch FROM patience) * 1000)::bigint::text, true);
END
$$;

-- The last act: nothing is left in the log, and nobody can write. Tables touched: job_state, migration_state, journal_entry.
CREATE FUNCTION conveyor.finish_done(migration text, cutover text, accept_dead_rows boolean) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    of_job record;
BEGIN
    PERFORM conveyor.check_owner_session(migration);
    PERFORM conveyor.lock_migration(migration);
    PERFORM conveyor.check_finishable(migration, accept_dead_rows);
    FOR of_job IN SELECT j.id, j.job, s.cursor FROM conveyor.job_definition j JOIN conveyor.job_state s USING (id)
                   WHERE j.migration = finish_done.migration AND s.state = 'following' ORDER BY j.id LOOP
        IF conveyor.log_has_pending(of_job.cursor, conveyor.job_captures(of_job.id)) THEN
            RAISE EXCEPTION 'the source of job "%" has changed although it was locked', of_job.job USING ERRCODE = 'serialization_failure';
        END IF;
        UPDATE conveyor.job_state s SET cursor = NULL, state = 'finished', finished_at = clock_timestamp(), throttle = NULL, updated_at = clock_timestamp()
         WHERE s.id = of_job.id;
    END LOOP;
    PERFORM conveyor.settle_migration(migration);
    UPDATE conveyor.migration_state s SET cutover_at = clock_timestamp(), updated_at = clock_timestamp() WHERE s.migration = finish_done.migration;
    PERFORM conveyor.write_journal('cutover', migration, left(cutover, 1000));
END
$$;

-- Tables touched: migration_state, journal_entry.
CREATE FUNCTION conveyor.finish_give_up(migration text, reason text) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM conveyor.check_owner((conveyor.find_migration(migration)).owner, 'migration', migration);
    PERFORM conveyor.lock_migration(migration);
    IF (SELECT s.state FROM conveyor.migration_state s WHERE s.migration = finish_give_up.migration) = 'finishing' THEN
        PERFORM conveyor.migration_enters(migration, 'running');
    END IF;
    PERFORM conveyor.write_journal('give up finishing', migration, reason);
    PERFORM conveyor.finish_leave(conveyor.first_job(migration));
END
$$;

-- A session that was finishing is gone: the migration runs on. tick() and the followers call it.
-- Tables touched: migration_state, journal_entry.
CREATE FUNCTION conveyor.finish_abandoned() RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    abandoned text;
BEGIN
    FOR abandoned IN SELECT s.migration FROM conveyor.migration_state s WHERE s.state = 'finishing' ORDER BY s.migration LOOP
        CONTINUE WHEN NOT conveyor.finish_claim(conveyor.first_job(abandoned));
        PERFORM conveyor.finish_give_up(abandoned, 'the session that was finishing it is gone');
    END LOOP;
END
$$;

-- finish_migration
--   cutover           what is done in the last transaction, while writers are kept out: one or more statements, as the owner
--   lock_timeout      how long the locks may take; writers wait behind them
--   accept_dead_rows  leave rows behind for which the statement fails
-- Catches up with the sources in rounds, until a round is short; then, in one transaction, locks them, applies what is left, runs the
-- cutover and marks the migration finished. When that fails everything is as it was, the migration runs on, and it can be called again.
-- A round is one window of each job, slice by slice, each committed. Only a window that began in it says how far the writers are
-- ahead: one that is under way ends first.
-- No SET clause: it commits. So every name is qualified.
CREATE PROCEDURE conveyor.finish_migration(migration text, cutover text DEFAULT NULL, lock_timeout interval DEFAULT '2 s', accept_dead_rows boolean DEFAULT false)
    LANGUAGE plpgsql
AS $$
DECLARE
    short CONSTANT interval := '200 ms';
    most  CONSTANT int := 100;
    began timestamptz;
    locked timestamptz;
    round int := 0;
    failed boolean := false;
    more boolean;
    follower int;
    f_state text; f_message text; f_detail text; f_hint text; f_context text;
BEGIN
    IF NOT conveyor.finish_begin(migration, accept_dead_rows) THEN
        RETURN;
    END IF;
    COMMIT;
    <<catch_up>>
    LOOP
        FOR window_of_round IN 1 .. 2 LOOP
            began := pg_catalog.clock_timestamp();
            FOREACH follower IN ARRAY ARRAY(SELECT f.job FROM conveyor.followers(migration) AS f) LOOP
                LOOP
                    BEGIN
                        more := conveyor.follow_slice(follower);
                        IF round OPERATOR(pg_catalog.=) most THEN
                            RAISE EXCEPTION 'could not catch up with the writers in % rounds', most
                                USING ERRCODE = 'program_limit_exceeded',
                                      HINT = 'Call it when fewer rows are written, or make the job''s statement faster.';
                        END IF;
                    EXCEPTION WHEN query_canceled OR OTHERS THEN
                        GET STACKED DIAGNOSTICS f_state = RETURNED_SQLSTATE, f_message = MESSAGE_TEXT, f_detail = PG_EXCEPTION_DETAIL, f_hint = PG_EXCEPTION_HINT,
                                                f_context = PG_EXCEPTION_CONTEXT;
                        failed := true;
                    END;
                    COMMIT;
                    EXIT catch_up WHEN failed;
                    EXIT WHEN NOT more;
                END LOOP;
            END LOOP;
        END LOOP;
        round := round OPERATOR(pg_catalog.+) 1;
        EXIT WHEN pg_catalog.clock_timestamp() OPERATOR(pg_catalog.-) began OPERATOR(pg_catalog.<) short;
    END LOOP;

    IF NOT failed THEN
        BEGIN
            PERFORM conveyor.finish_lock(migration, lock_timeout);
            locked := pg_catalog.clock_timestamp();
            PERFORM conveyor.finish_rest(migration);
            IF cutover IS NOT NULL THEN
                EXECUTE cutover;
            END IF;
            SET CONSTRAINTS ALL IMMEDIATE;
            PERFORM conveyor.finish_done(migration, cutover, accept_dead_rows);
        EXCEPTION WHEN query_canceled OR OTHERS THEN
            GET STACKED DIAGNOSTICS f_state = RETURNED_SQLSTATE, f_message = MESSAGE_TEXT, f_detail = PG_EXCEPTION_DETAIL, f_hint = PG_EXCEPTION_HINT,
                                    f_context = PG_EXCEPTION_CONTEXT;
            failed := true;
        END;
        COMMIT;
    END IF;

    IF failed THEN
        PERFORM conveyor.finish_give_up(migration, f_message);
        COMMIT;
        RAISE EXCEPTION 'migration "%" is not finished: %', migration, f_message
            USING ERRCODE = f_state, DETAIL = COALESCE(NULLIF(f_detail, ''), pg_catalog.split_part(f_context, E'\n', 1)),
                  HINT = pg_catalog.concat_ws(' ', NULLIF(f_hint, ''),
                                              pg_catalog.format('Everything is as it was, and the migration runs on. CALL conveyor.finish_migration(%L, …) can be repeated.', migration));
    END IF;
    RAISE NOTICE 'migration "%" is finished; writers were kept out for % ms', migration,
                 pg_catalog.round(EXTRACT(epoch FROM pg_catalog.clock_timestamp() OPERATOR(pg_catalog.-) locked) OPERATOR(pg_catalog.*) 1000);
    PERFORM conveyor.finish_leave(conveyor.first_job(migration));
    PERFORM conveyor.release_captures();
    COMMIT;
END
$$;
COMMENT ON PROCEDURE conveyor.finish_migration(text, text, interval, boolean) IS
    'catch up with the sources, lock them for a moment, apply the rest and run the cutover, all or nothing; for the owner, outside of a transaction block';
