-- 86: is it finished? For scripts that go on only then.

-- Raises what is to be said of a migration that is not finished.
CREATE FUNCTION conveyor.raise_unfinished(migration text, waited interval, dead_rows bigint) RETURNS void
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    status conveyor.migration_status;
BEGIN
    SELECT m.* INTO status FROM conveyor.migration_status m WHERE m.migration = raise_unfinished.migration;
    IF status.state = 'finished' THEN
        RAISE EXCEPTION 'migration "%" is finished, but for % dead rows', migration, status.dead_rows
            USING ERRCODE = 'object_not_in_prerequisite_state',
                  HINT = format('SELECT * FROM conveyor.dead_row WHERE migration = %1$L tells why. When that is mended, run SELECT conveyor.retry_migration(%1$L); '
                                'if they may be left out, give dead_rows => %2$s.', migration, status.dead_rows);
    END IF;
    RAISE EXCEPTION 'migration "%" is not finished%: it is %', migration, coalesce(' after ' || waited, ''), status.state
        USING ERRCODE = 'object_not_in_prerequisite_state',
              DETAIL = concat_ws(' ', format('%s of %s jobs are finished, %s rows are done%s; %s.', status.jobs_finished, status.jobs, status.rows_done,
                                             coalesce(' (' || status.percent || ' %)', ''),
                                             coalesce(status.eta || ' left at the present rate', 'the time left is not known')),
                                 'Throttle: ' || rtrim(status.throttle, '.') || '.', 'Error: ' || rtrim(status.last_error, '.') || '.'),
              HINT = CASE WHEN status.state = 'running' AND NOT EXISTS (SELECT FROM conveyor.list_heads(migration) AS h WHERE h.state <> 'failed')
                               AND EXISTS (SELECT FROM conveyor.job_status j WHERE j.migration = raise_unfinished.migration AND j.state = 'following')
                          THEN format('What is left follows its source: run CALL conveyor.finish_migration(%L).', migration)
                          ELSE conveyor.next_step(migration, status.state) END;
END
$$;

-- assert_finished: nothing when all jobs are finished, else an error with state, percent, time left and the command to run next.
--   dead_rows  so many rows may have been left out
CREATE FUNCTION conveyor.assert_finished(migration text, dead_rows bigint DEFAULT 0) RETURNS void
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM conveyor.find_migration(migration);
    IF NOT EXISTS (SELECT FROM conveyor.migration_state s WHERE s.migration = assert_finished.migration AND s.state = 'finished')
       OR (SELECT count(*) FROM conveyor.dead_row d WHERE d.migration = assert_finished.migration) > dead_rows THEN
        PERFORM conveyor.raise_unfinished(migration, NULL, dead_rows);
    END IF;
END
$$;
COMMENT ON FUNCTION conveyor.assert_finished(text, bigint) IS 'an error unless a migration is finished without dead rows';

-- Is this session inside of BEGIN … COMMIT?
CREATE FUNCTION conveyor.in_transaction_block() RETURNS boolean
    LANGUAGE c AS 'MODULE_PATHNAME', 'conveyor_in_transaction_block';

-- Has the wait come to its end? False: look again. What can only end by somebody's hand is an error at once, but for a pause.
CREATE FUNCTION conveyor.wait_is_over(migration text, began_at timestamptz, timeout interval, dead_rows bigint) RETURNS boolean
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    state text;
BEGIN
    IF timeout IS NULL OR timeout < interval '0' THEN
        RAISE EXCEPTION 'timeout of wait_finished() must not be %', coalesce('negative: ' || timeout, 'null')
            USING ERRCODE = 'invalid_parameter_value', HINT = 'Give an interval such as ''1 h''.';
    END IF;
    PERFORM conveyor.find_migration(migration);
    IF conveyor.in_transaction_block() THEN
        RAISE EXCEPTION 'wait_finished() cannot run inside a transaction block'
            USING ERRCODE = 'active_sql_transaction', DETAIL = 'It commits between two looks, so as to hold no snapshot while it waits.',
                  HINT = 'Call it outside of BEGIN … COMMIT; in Flyway, put executeInTransaction=false into the script''s .conf file. '
                         'Inside a transaction, conveyor.assert_finished() asks once.';
    END IF;
    SELECT s.state INTO state FROM conveyor.migration_state s WHERE s.migration = wait_is_over.migration;
    IF state = 'finished' THEN
        PERFORM conveyor.assert_finished(migration, dead_rows);
        RETURN true;
    ELSIF coalesce(state, 'planned') IN ('planned', 'failed', 'cancelled') OR clock_timestamp() >= began_at + timeout THEN
        PERFORM conveyor.raise_unfinished(migration, CASE WHEN clock_timestamp() >= began_at + timeout THEN timeout END, dead_rows);
    END IF;
    RETURN false;
END
$$;

-- wait_finished: returns when a migration is finished; an error as assert_finished()'s when it can no longer be, or the time is over.
--   Each look is a transaction of its own, so that no snapshot is held for longer than one. Therefore nothing can be pinned here: everything
--   is qualified, and what there is to think about is in the functions above.
CREATE PROCEDURE conveyor.wait_finished(migration text, timeout interval, dead_rows bigint DEFAULT 0)
    LANGUAGE plpgsql
AS $$
DECLARE
    began_at CONSTANT pg_catalog.timestamptz := pg_catalog.clock_timestamp();
BEGIN
    LOOP
        EXIT WHEN conveyor.wait_is_over(migration, began_at, timeout, dead_rows);
        COMMIT;
        PERFORM pg_catalog.pg_sleep(0.2);
        COMMIT;
    END LOOP;
END
$$;
COMMENT ON PROCEDURE conveyor.wait_finished(text, interval, bigint) IS
    'wait until a migration is finished without dead rows; an error when it cannot be any more, or the time is over';
