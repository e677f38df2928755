-- 87: jobs that follow their source: what is captured for them, what they hold of the log, their windows, and their end.

-- Who needs which changes of a relation: one row for each feed and each job. `columns` are compared, `recorded` ones written.
CREATE VIEW conveyor.capture_need AS
SELECT w.relation::oid AS relation,
       format('feed "%s"', w.feed) AS consumer,
       w.columns,
       w.recorded,
       w.feed,
       NULL::text AS job
  FROM conveyor.watch w
UNION ALL
-- A job's statement may read any column of a batch; it needs the keys.
SELECT j.source::oid,
       format('job "%s" of migration "%s"', j.job, j.migration),
       ARRAY(SELECT a.attname::text COLLATE "default" FROM pg_catalog.pg_attribute a WHERE a.attrelid = j.source AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum),
       j.key,
       NULL,
       format('%s.%s', j.migration, j.job)
  FROM conveyor.job_definition j
  JOIN conveyor.job_state s USING (id)
 WHERE s.cursor IS NOT NULL;
COMMENT ON VIEW conveyor.capture_need IS 'which changes of which tables feeds and jobs need; install_capture() makes one capture of them';

-- Every cursor that keeps rows in the log. A stale delivery's cursor jumped ahead when it became stale and holds from there; that
-- of a job whose copy is made again does the same.
CREATE VIEW conveyor.log_cursor AS
SELECT d.delivery AS holder, d.cursor FROM conveyor.delivery_state d
UNION ALL
SELECT format('%s.%s', j.migration, j.job), s.cursor FROM conveyor.job_definition j JOIN conveyor.job_state s USING (id) WHERE s.cursor IS NOT NULL;
COMMENT ON VIEW conveyor.log_cursor IS 'cursors that hold the change log, and the delivery or the job (migration.job) that each belongs to';

-- follow_begin: puts the capture on the job's source and the cursor where the copy may begin. The runner calls it in a transaction
-- of its own: what the copy reads after its commit has all that the cursor has. A job that follows already is left alone.
-- Tables touched: job_state, capture, capture_member; the source gets its triggers.
CREATE FUNCTION conveyor.follow_begin(job int) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    definition conveyor.job_definition;
BEGIN
    PERFORM conveyor.check_job_owner(job);
    SELECT j.* INTO definition FROM conveyor.job_definition j WHERE j.id = follow_begin.job AND j.follow;
    IF NOT FOUND OR EXISTS (SELECT FROM conveyor.job_state s WHERE s.id = follow_begin.job AND s.cursor IS NOT NULL) THEN
        RETURN;
    END IF;
    PERFORM conveyor.check_watchable(definition.source);
    -- The first cursor makes the need; the second one lies behind the lock that waits for writers who do not capture yet.
    UPDATE conveyor.job_state s SET cursor = conveyor.latest_snapshot() WHERE s.id = follow_begin.job;
    PERFORM conveyor.install_capture(definition.source);
    UPDATE conveyor.job_state s SET cursor = conveyor.latest_snapshot(), followed_at = clock_timestamp(), updated_at = clock_timestamp()
     WHERE s.id = follow_begin.job;
END
$$;
COMMENT ON FUNCTION conveyor.follow_begin(int) IS 'runner: capture the changes of a job''s source from now on';

-- The same, and at commit a background worker begins to apply them.
CREATE FUNCTION conveyor.follow_start(job int) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM conveyor.follow_begin(job);
    PERFORM conveyor.launch((conveyor.find_job(job)).migration);
END
$$;

-- Takes off what nobody needs any more: after cancel_migration(), drop_migration() and finish_migration(). Never waits for a lock:
-- what is in use is left to the next call.
CREATE FUNCTION conveyor.release_captures() RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    unneeded oid;
BEGIN
    FOR unneeded IN SELECT c.relation FROM conveyor.capture c
                     WHERE c.retired_at IS NULL AND NOT EXISTS (SELECT FROM conveyor.capture_need n WHERE n.relation = c.relation)
                     ORDER BY c.relation LOOP
        BEGIN
            IF EXISTS (SELECT FROM pg_class k WHERE k.oid = unneeded) THEN
                EXECUTE format('LOCK TABLE %s IN ACCESS EXCLUSIVE MODE NOWAIT', unneeded::regclass);
            END IF;
            PERFORM conveyor.install_capture(unneeded);
        EXCEPTION WHEN lock_not_available OR undefined_table THEN
            NULL;      -- in use, or going just now
        END;
    END LOOP;
END
$$;
COMMENT ON FUNCTION conveyor.release_captures() IS 'take capture triggers off tables whose changes nobody needs any more';

-- The change log cannot tell everything (it was full, the table was truncated or changed unseen): the copy is made again, beside
-- the windows. It overwrites what it finds, but rows that are gone from the source stay in the target.
--   cursor  where the windows go on
-- Tables touched: job_state, job_range, job_window, job_batch, job_worker, dead_row_store, journal_entry.
CREATE FUNCTION conveyor.follow_recopy(job int, reason text, cursor pg_snapshot) RETURNS void
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    definition conveyor.job_definition := conveyor.find_job(job);
BEGIN
    UPDATE conveyor.job_state s
       SET cursor = follow_recopy.cursor, followed_at = clock_timestamp(), position = NULL, end_key = NULL, exhausted = false, rows_total = NULL, fingerprint = NULL, free_at = NULL,
           state = CASE s.state WHEN 'following' THEN 'running' ELSE s.state END,
           unverified = CASE WHEN definition.options ? 'delete_statement' THEN reason END,
           warning = format('the copy is made again: %s', reason), updated_at = clock_timestamp()
     WHERE s.id = follow_recopy.job;
    DELETE FROM conveyor.job_range r WHERE r.id = follow_recopy.job;
    DELETE FROM conveyor.job_window w WHERE w.id = follow_recopy.job;
    DELETE FROM conveyor.job_batch b WHERE b.id = follow_recopy.job;
    DELETE FROM conveyor.dead_row_store d WHERE d.id = follow_recopy.job;
    UPDATE conveyor.job_worker w SET rows_done = 0, updated_at = clock_timestamp() WHERE w.id = follow_recopy.job;
    PERFORM conveyor.write_journal('copy again', format('%s.%s', definition.migration, definition.job), reason);
END
$$;

-- Jobs whose source cannot be captured any more stop. retry_migration() goes on, with the copy made again.
CREATE FUNCTION conveyor.follow_fail(relation oid, problem text) RETURNS void
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    of_job record;
BEGIN
    FOR of_job IN SELECT j.id, j.migration FROM conveyor.job_definition j JOIN conveyor.job_state s USING (id)
                   WHERE j.source::oid = follow_fail.relation AND s.cursor IS NOT NULL AND s.state IN ('running', 'following') ORDER BY j.id LOOP
        PERFORM conveyor.job_enters(of_job.id, 'failed', format('%s; SELECT * FROM conveyor.audit() says how to mend it, then run SELECT conveyor.retry_migration(%L)',
                                                                problem, of_job.migration));
    END LOOP;
END
$$;

-- A job that stands still must not cost all others their log: see release_log().
CREATE FUNCTION conveyor.release_followed_log() RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    of_job int;
BEGIN
    IF NOT EXISTS (SELECT FROM conveyor.job_state s WHERE s.cursor IS NOT NULL) OR NOT conveyor.log_is_tight() THEN
        RETURN;
    END IF;
    FOR of_job IN SELECT s.id FROM conveyor.job_state s JOIN conveyor.job_definition j USING (id) JOIN conveyor.migration_state m USING (migration)
                   WHERE s.cursor IS NOT NULL
                     AND (m.state <> 'running' OR s.state = 'failed' OR s.followed_at < clock_timestamp() - interval '15 min')
                     AND conveyor.log_has_pending(s.cursor, conveyor.job_captures(s.id))
                   ORDER BY s.id
                     FOR UPDATE OF s SKIP LOCKED
    LOOP
        PERFORM conveyor.follow_recopy(of_job, 'it stood still while the change log reached three quarters of conveyor.max_log_size', conveyor.latest_snapshot());
    END LOOP;
END
$$;

-- The SQL of a migration runs in sessions of its owner only; SET ROLE would be no boundary.
CREATE FUNCTION conveyor.check_owner_session(migration text) RETURNS void
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    owner CONSTANT regrole := (conveyor.find_migration(migration)).owner;
BEGIN
    IF session_user::regrole <> owner OR conveyor.caller() <> session_user THEN
        RAISE EXCEPTION 'the SQL of migration "%" runs only in a session of its owner', migration
            USING ERRCODE = 'insufficient_privilege',
                  DETAIL = format('It belongs to role %s, this session is that of %I, and its role is %I.', owner, session_user, conveyor.caller()),
                  HINT = CASE WHEN session_user::regrole = owner THEN 'Run RESET ROLE first.' ELSE format('Connect as %s; SET ROLE is not enough.', owner) END;
    END IF;
END
$$;

-- What a window needs to know of its job, beside what batches need; and how far the one is that is under way. The columns are
-- read by number (extension/follow/window.cpp).
CREATE FUNCTION conveyor.follow_state(job int, OUT cursor pg_snapshot, OUT captures int[], OUT delete_statement text, OUT dead_rows boolean,
                                      OUT ended pg_snapshot, OUT pass text, OUT place bigint[], OUT keys bigint, OUT seen bigint, OUT incomplete text)
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    definition conveyor.job_definition := conveyor.find_job(job);
BEGIN
    PERFORM conveyor.check_owner_session(definition.migration);
    SELECT s.cursor, conveyor.job_captures(s.id), definition.options ->> 'delete_statement',
           EXISTS (SELECT FROM conveyor.dead_row_store d WHERE d.id = s.id), w.ended, w.pass, w.place, w.keys, w.seen, w.incomplete
      INTO cursor, captures, delete_statement, dead_rows, ended, pass, place, keys, seen, incomplete
      FROM conveyor.job_state s LEFT JOIN conveyor.job_window w ON w.id = s.id AND w.began::text = s.cursor::text
     WHERE s.id = follow_state.job;
    IF cursor IS NULL THEN
        RAISE EXCEPTION 'job "%" of migration "%" does not follow its source', definition.job, definition.migration
            USING ERRCODE = 'object_not_in_prerequisite_state',
                  DETAIL = CASE WHEN definition.follow THEN 'It has not begun, or is at its end.' ELSE 'It was added without follow => true.' END,
                  HINT = format('SELECT job, state FROM conveyor.job_status WHERE migration = %L tells.', definition.migration);
    END IF;
END
$$;

-- Where the cursor is not where a window began, another session has moved it.
CREATE FUNCTION conveyor.lost_cursor(job int) RETURNS void
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RAISE EXCEPTION 'another session has moved the cursor of job "%", or ended it', (conveyor.find_job(job)).job
        USING ERRCODE = 'serialization_failure', HINT = 'What was applied is rolled back; the next window begins where the cursor is.';
END
$$;

-- A slice is applied, in this transaction: what it was goes against the rate, and who waits behind it is counted while it holds
-- its locks. Beside a copy it is batches of the copy that wait. Tables touched: job_state, job_worker.
CREATE FUNCTION conveyor.follow_applied(job int, keys bigint) RETURNS void
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    pace CONSTANT numeric := conveyor.job_option(job, 'rate');
BEGIN
    IF pace > 0 THEN
        UPDATE conveyor.job_state s SET free_at = conveyor.rate_free_at(clock_timestamp(), s.free_at, pace, keys) WHERE s.id = follow_applied.job;
    END IF;
    IF keys > 0 AND EXISTS (SELECT FROM conveyor.job_state s WHERE s.id = follow_applied.job AND s.state = 'following') THEN
        PERFORM conveyor.note_waiters(job, 0);
    END IF;
END
$$;

-- A slice is applied, and the window has further ones: where it is now. Tables touched: job_window, job_state, job_worker.
CREATE FUNCTION conveyor.follow_checkpoint(job int, began pg_snapshot, ended pg_snapshot, pass text, place bigint[], keys bigint, seen bigint, incomplete text,
                                           latest_keys bigint) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    PERFORM conveyor.check_job_owner(job);
    UPDATE conveyor.job_state s SET followed_at = clock_timestamp(), updated_at = clock_timestamp()
     WHERE s.id = job AND s.cursor::text = began::text AND s.state IN ('planned', 'running', 'following');
    IF NOT FOUND THEN
        PERFORM conveyor.lost_cursor(job);
    END IF;
    INSERT INTO conveyor.job_window AS w (id, began, ended, pass, place, keys, seen, incomplete)
    VALUES (job, began, ended, pass, place, keys, seen, incomplete)
    ON CONFLICT ON CONSTRAINT job_window_pkey DO UPDATE
       SET began = excluded.began, ended = excluded.ended, pass = excluded.pass, place = excluded.place, keys = excluded.keys, seen = excluded.seen,
           incomplete = excluded.incomplete;
    PERFORM conveyor.follow_applied(job, latest_keys);
END
$$;

-- A window ends: the cursor moves from where the window began to its end, in the transaction that has applied the last of it. Where
-- the log could not tell everything the copy begins anew. An empty window is written down only now and then, and only if the log
-- has rows of others that the cursor would hold.
-- Tables touched: job_state, job_window, job_worker; with `incomplete` those of follow_recopy().
CREATE FUNCTION conveyor.follow_done(job int, began pg_snapshot, ended pg_snapshot, keys bigint, incomplete text, latest_keys bigint) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM conveyor.check_job_owner(job);
    IF keys = 0 AND incomplete IS NULL AND NOT EXISTS (SELECT FROM conveyor.job_window w WHERE w.id = follow_done.job)
       AND (EXISTS (SELECT FROM conveyor.job_state s WHERE s.id = follow_done.job AND s.followed_at > clock_timestamp() - interval '10 s')
            OR NOT conveyor.log_has_pending(began, NULL)) THEN
        RETURN;
    END IF;
    UPDATE conveyor.job_state s
       SET cursor = follow_done.ended, followed_at = clock_timestamp(), updated_at = clock_timestamp()
     WHERE s.id = follow_done.job AND s.cursor::text = began::text AND s.state IN ('planned', 'running', 'following');
    IF NOT FOUND THEN
        PERFORM conveyor.lost_cursor(job);
    END IF;
    DELETE FROM conveyor.job_window w WHERE w.id = follow_done.job;
    PERFORM conveyor.follow_applied(job, latest_keys);
    IF incomplete IS NOT NULL THEN
        PERFORM conveyor.follow_recopy(job, incomplete, ended);
    END IF;
END
$$;

-- A slice failed for a reason that may pass. Tables touched: job_state, job_worker.
CREATE FUNCTION conveyor.follow_put_off(job int, error text) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM conveyor.check_job_owner(job);
    UPDATE conveyor.job_state s SET last_error = error, updated_at = clock_timestamp() WHERE s.id = follow_put_off.job;
    PERFORM conveyor.count_batch(job, 0, 0, 0, 1, NULL);
END
$$;

-- What a follower asks before a slice: why must this job wait? NULL: it need not. Where the change log is nearly full nothing holds
-- it: the copy would have to be made again, which costs more. Runs with the caller's rights, as job_throttle().
CREATE FUNCTION conveyor.follow_throttle(job int) RETURNS text
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    reason text := conveyor.job_throttle(job);
BEGIN
    IF reason IS NOT NULL AND conveyor.log_is_tight() THEN
        PERFORM conveyor.note_throttle(job, NULL);
        RETURN NULL;
    END IF;
    RETURN reason;
END
$$;

-- Tables touched: dead_row_store.
CREATE FUNCTION conveyor.follow_dead_row(job int, key text, parts text[], sqlstate text, reason text) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    PERFORM conveyor.check_job_owner(job);
    INSERT INTO conveyor.dead_row_store AS d (id, key, parts, sqlstate, reason)
    VALUES (job, key, parts, sqlstate, reason)
    ON CONFLICT (id, conveyor.key_digest(d.key)) DO UPDATE SET sqlstate = excluded.sqlstate, reason = excluded.reason;
    IF (SELECT count(*) FROM conveyor.dead_row_store d WHERE d.id = job) > conveyor.job_option(job, 'dead_row_limit')::bigint THEN
        RAISE EXCEPTION 'more than % dead rows (dead_row_limit), the latest with %', conveyor.job_option(job, 'dead_row_limit'), reason
            USING ERRCODE = 'program_limit_exceeded';
    END IF;
END
$$;

-- Keys that a window applies are no dead rows any more, unless they fail again.
-- Tables touched: dead_row_store.
CREATE FUNCTION conveyor.follow_alive(job int, keys text[]) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM conveyor.check_job_owner(job);
    DELETE FROM conveyor.dead_row_store d WHERE d.id = follow_alive.job AND d.key = ANY (keys);
END
$$;

-- follow_window: all that has changed up to now. follow_slice: a part of it, of the window that is under way, or of a new one.
--   most_keys  how many keys are given to the job's statement at a time; not more than max_batch_size
-- follow_window returns how many keys there were, follow_slice whether the window has more of them. Both lock the job's window lock
-- exclusively until the end of the transaction, before they read.
-- Tables touched: whatever the job's statements touch; job_state, job_window, dead_row_store.
CREATE FUNCTION conveyor.follow_window(job int, most_keys int DEFAULT 10000) RETURNS bigint
    LANGUAGE c VOLATILE STRICT AS 'MODULE_PATHNAME', 'conveyor_follow_window';
COMMENT ON FUNCTION conveyor.follow_window(int, int) IS
    'apply what has changed in a job''s source since its cursor, in the caller''s transaction; returns how many keys';
CREATE FUNCTION conveyor.follow_slice(job int, most_keys int DEFAULT 10000) RETURNS boolean
    LANGUAGE c VOLATILE STRICT AS 'MODULE_PATHNAME', 'conveyor_follow_slice';
COMMENT ON FUNCTION conveyor.follow_slice(int, int) IS
    'apply a part of what has changed in a job''s source, in the caller''s transaction; returns whether its window has more';

-- What a follower does next: a `slice`, `nothing`, `wait` for so many ms, or `leave` where the job is not to be followed any more.
-- `copying`: beside the copy, which then is what waits for the rate. Now and then also a window beyond whose cursor the log has only
-- rows of others, which the cursor would hold.
CREATE FUNCTION conveyor.follow_next(job int, OUT verdict text, OUT copying boolean, OUT wait bigint)
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    state record;
BEGIN
    SELECT s.cursor, s.state, s.followed_at, s.free_at, j.migration, m.state AS of_migration INTO state
      FROM conveyor.job_definition j JOIN conveyor.job_state s USING (id) JOIN conveyor.migration_state m USING (migration)
     WHERE j.id = follow_next.job AND s.cursor IS NOT NULL AND s.state IN ('planned', 'running', 'following') AND m.state IN ('running', 'finishing');
    IF NOT FOUND THEN
        verdict := 'leave';
        RETURN;
    END IF;
    PERFORM conveyor.check_job_owner(job);
    IF state.of_migration = 'finishing' THEN
        PERFORM conveyor.finish_abandoned();
    END IF;
    copying := state.state <> 'following';
    IF copying THEN
        PERFORM conveyor.launch(state.migration);      -- a copy that is made again has no runner
    END IF;
    verdict := CASE WHEN conveyor.log_has_pending(state.cursor, conveyor.job_captures(job))
                         OR state.followed_at < clock_timestamp() - interval '10 s' AND conveyor.log_has_pending(state.cursor, NULL)
                    THEN 'slice' ELSE 'nothing' END;
    IF verdict = 'slice' AND NOT copying AND state.free_at > clock_timestamp() THEN
        verdict := 'wait';
        wait := greatest(least(ceil(extract(epoch FROM state.free_at - clock_timestamp()) * 1000), 1000), 1);
    END IF;
END
$$;
