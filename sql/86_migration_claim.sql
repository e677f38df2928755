-- 86: what a runner asks and records. The statements of jobs run with the session's own rights, which are the owner's; state
-- is changed here only, and each function asks first whether the caller may act for the migration.
--
-- A batch is two transactions. The first claims a range: it enters the range in job_range and moves `position` behind it.
-- The second locks that row (job_take), runs the statement, and deletes the row (job_checkpoint). So the row is there for as
-- long as its batch has not committed, and no other session runs it meanwhile, whatever became of the advisory locks.

-- conveyor.job_plan(job) -> one row
--   All that a runner must know of a job. The columns are read by number (extension/migrate/job.cpp).
CREATE FUNCTION conveyor.job_plan(job int, OUT migration text, OUT name text, OUT list text, OUT first_of_list int, OUT owner oid, OUT source oid,
                                  OUT statement text, OUT call oid, OUT key text[], OUT key_types oid[], OUT workers int, OUT follow boolean,
                                  OUT search_path text, OUT condition text, OUT setup text, OUT stop_on_error boolean, OUT max_attempts int,
                                  OUT retry_delay bigint, OUT max_retry_delay bigint, OUT statement_timeout bigint, OUT lock_timeout bigint,
                                  OUT min_batch_size int, OUT max_batch_size int, OUT target_duration bigint, OUT running boolean,
                                  OUT examine text, OUT examine_every int)
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    asked   CONSTANT int := $1;
    options jsonb;
BEGIN
    IF NOT EXISTS (SELECT FROM conveyor.job_definition d WHERE d.id = asked) THEN
        RETURN;
    END IF;
    PERFORM conveyor.check_job_owner(asked);
    options := conveyor.job_options(asked);
    SELECT d.migration, d.job, d.list, (SELECT min(l.id) FROM conveyor.job_definition l WHERE l.migration = d.migration AND l.list = d.list),
           m.owner::oid, d.source::oid, d.statement, d.call::oid, d.key, d.key_types::oid[], d.workers, d.follow, d.search_path
      INTO migration, name, list, first_of_list, owner, source, statement, call, key, key_types, workers, follow, search_path
      FROM conveyor.job_definition d JOIN conveyor.migration_definition m ON m.migration = d.migration
     WHERE d.id = asked;
    running := EXISTS (SELECT FROM conveyor.job_definition d
                         JOIN conveyor.migration_state m ON m.migration = d.migration AND m.state = 'running'
                         JOIN conveyor.job_state s ON s.id = d.id AND s.state = 'running'
                        WHERE d.id = asked);
    condition := options ->> 'where';
    setup := options ->> 'setup';
    stop_on_error := options ->> 'on_error' = 'stop';
    max_attempts := options ->> 'max_attempts';
    retry_delay := options ->> 'retry_delay';
    max_retry_delay := options ->> 'max_retry_delay';
    statement_timeout := options ->> 'statement_timeout';
    lock_timeout := options ->> 'lock_timeout';
    -- With a rate, no batch is more than a second's worth.
    max_batch_size := least((options ->> 'max_batch_size')::int, nullif((options ->> 'rate')::int, 0));
    min_batch_size := least((options ->> 'min_batch_size')::int, max_batch_size);
    target_duration := options ->> 'target_duration';
    examine := options ->> 'examine';
    examine_every := options ->> 'examine_every';
END
$$;

-- The job of a list whose turn it is; NULL when the list is done, or is held up by a job that failed, or the migration does not run.
CREATE FUNCTION conveyor.job_next(first_of_list int) RETURNS int
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT CASE WHEN s.state IN ('planned', 'running') THEN j.id END
      FROM conveyor.job_definition f
      JOIN conveyor.migration_state m ON m.migration = f.migration
      JOIN conveyor.job_definition j ON j.migration = f.migration AND j.list = f.list
      JOIN conveyor.job_state s ON s.id = j.id
     WHERE f.id = job_next.first_of_list AND m.state = 'running' AND s.state NOT IN ('finished', 'following')
     ORDER BY j.id
     LIMIT 1;
END;

-- Has the job yet to begin? Then its row is locked, before its source is: who cancels and drops the source locks in that order.
CREATE FUNCTION conveyor.job_is_new(job int) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM conveyor.check_job_owner(job);
    PERFORM FROM conveyor.job_state s WHERE s.id = job AND s.state IN ('planned', 'running') AND s.fingerprint IS NULL FOR UPDATE;
    RETURN FOUND;
END
$$;

-- job_begin
--   end_key     the source's last key at this moment, NULL where it is empty: where the job ends
--   rows_total  how many rows there are, about
-- Does nothing for a job that has begun, which is one with a fingerprint: it may have failed, and be running again, before that. Tables touched: job_state.
CREATE FUNCTION conveyor.job_begin(job int, end_key text[], rows_total bigint) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM conveyor.check_job_owner(job);
    UPDATE conveyor.job_state s
       SET state = 'running', started_at = coalesce(s.started_at, clock_timestamp()), updated_at = clock_timestamp(),
           end_key = job_begin.end_key, exhausted = job_begin.end_key IS NULL, rows_total = job_begin.rows_total,
           fingerprint = conveyor.job_fingerprint(job)
     WHERE s.id = job_begin.job AND s.state IN ('planned', 'running') AND s.fingerprint IS NULL;
END
$$;

-- Is there a batch for this worker? `verdict` says what the other columns mean:
--   batch  take `range`: one of its own that is left over, or, when there is nothing left to claim, one that nobody is at
--   claim  find the end of a new range behind `position`, `batch_size` rows long, and call job_claim_store(); the job's state
--          is locked until then. `recent` are the milliseconds of the latest batches of this size, the newest first
--   begin  find the source's last key, and call job_begin(): the copy is made again
--   wait   ask again in `wait` ms
--   done   all is done (worker 0), or there is nothing that this worker could take (others)
--   leave  the migration or the job does not run
-- Tables touched: job_state, job_range.
CREATE FUNCTION conveyor.job_claim_begin(job int, worker int, OUT verdict text, OUT wait bigint, OUT range bigint, OUT first_key text[], OUT last_key text[],
                                         OUT single boolean, OUT piece boolean, OUT rows int, OUT attempts int, OUT "position" text[], OUT end_key text[],
                                         OUT batch_size int, OUT recent real[])
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    asked CONSTANT int := $1;
    me    CONSTANT int := $2;
    state conveyor.job_state;
    due   timestamptz;
BEGIN
    PERFORM conveyor.check_job_owner(asked);
    SELECT s.* INTO state FROM conveyor.job_state s WHERE s.id = asked FOR UPDATE;
    IF state.state IS DISTINCT FROM 'running'
       OR NOT EXISTS (SELECT FROM conveyor.job_definition d JOIN conveyor.migration_state m ON m.migration = d.migration
                       WHERE d.id = asked AND m.state = 'running') THEN
        verdict := 'leave';
        RETURN;
    END IF;

    SELECT r.range, r.first_key, r.last_key, r.single, r.piece, r.rows, r.attempts INTO range, first_key, last_key, single, piece, rows, attempts
      FROM conveyor.job_range r
     WHERE r.id = asked AND r.worker = me AND (r.not_before IS NULL OR r.not_before <= clock_timestamp())
     ORDER BY r.range LIMIT 1
       FOR UPDATE SKIP LOCKED;
    -- While one of its own is put off it begins nothing else: what was in this batch's way is in the next one's, too.
    SELECT min(r.not_before) INTO due FROM conveyor.job_range r WHERE r.id = asked AND r.worker = me AND r.not_before > clock_timestamp();
    IF range IS NULL AND due IS NULL AND state.exhausted THEN
        -- Those of a worker that is gone, and halves that another one has no time for. One that is at work has its row locked.
        UPDATE conveyor.job_range r SET worker = me
         WHERE r.id = asked
           AND r.range = (SELECT o.range FROM conveyor.job_range o
                           WHERE o.id = asked AND (o.not_before IS NULL OR o.not_before <= clock_timestamp())
                           ORDER BY o.range LIMIT 1 FOR UPDATE SKIP LOCKED)
        RETURNING r.range, r.first_key, r.last_key, r.single, r.piece, r.rows, r.attempts INTO range, first_key, last_key, single, piece, rows, attempts;
    END IF;
    IF range IS NOT NULL THEN
        verdict := 'batch';
    ELSIF due IS NOT NULL THEN
        verdict := 'wait';
        wait := greatest(least(ceil(extract(epoch FROM due - clock_timestamp()) * 1000), 1000), 1);
    ELSIF NOT state.exhausted AND state.free_at > clock_timestamp() THEN
        verdict := 'wait';
        wait := greatest(least(ceil(extract(epoch FROM state.free_at - clock_timestamp()) * 1000), 1000), 1);
    ELSIF state.fingerprint IS NULL THEN
        verdict := 'begin';
    ELSIF NOT state.exhausted THEN
        verdict := 'claim';
        position := state.position;
        end_key := state.end_key;
        batch_size := state.batch_size;
        recent := ARRAY(SELECT b.milliseconds FROM conveyor.job_batch b
                         WHERE b.id = asked AND b.size = state.batch_size AND NOT b.failed ORDER BY b.number DESC LIMIT 20);
    ELSIF me = 0 AND EXISTS (SELECT FROM conveyor.job_range r WHERE r.id = asked) THEN
        verdict := 'wait';                                  -- others are at the last ones
        wait := 50;
    ELSE
        verdict := 'done';
    END IF;
END
$$;

-- Enters a range that was found behind `position`: `rows` rows up to last_key. Returns its number; NULL where last_key is, since
-- nothing was found.
--   size       the batch size that it was made with, and that the next one begins from
--   exhausted  it reaches the job's end
-- Tables touched: job_state, job_range.
CREATE FUNCTION conveyor.job_claim_store(job int, worker int, last_key text[], rows int, size int, exhausted boolean) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    state conveyor.job_state;
    pace  CONSTANT numeric := conveyor.job_option(job, 'rate');
BEGIN
    PERFORM conveyor.check_job_owner(job);
    SELECT s.* INTO state FROM conveyor.job_state s WHERE s.id = job AND s.state = 'running' AND NOT s.exhausted FOR UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'job "%" has nothing left to claim', (conveyor.find_job(job)).job USING ERRCODE = 'object_not_in_prerequisite_state';
    END IF;
    UPDATE conveyor.job_state s
       SET position = coalesce(job_claim_store.last_key, s.position), exhausted = job_claim_store.exhausted, ranges = s.ranges + (job_claim_store.last_key IS NOT NULL)::int,
           batch_size = size, updated_at = clock_timestamp(),
           free_at = conveyor.rate_free_at(clock_timestamp(), s.free_at, pace, job_claim_store.rows)
     WHERE s.id = state.id;
    IF last_key IS NULL THEN
        RETURN NULL;
    END IF;
    INSERT INTO conveyor.job_range (id, range, worker, first_key, last_key, rows, size)
    VALUES (job, state.ranges + 1, worker, state.position, last_key, rows, size);
    RETURN state.ranges + 1;
END
$$;

-- Locks a range for its batch; false where it is not this worker's any more.
CREATE FUNCTION conveyor.job_take(job int, worker int, range bigint) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM conveyor.check_job_owner(job);
    PERFORM FROM conveyor.job_range r
      WHERE r.id = job_take.job AND r.range = job_take.range AND r.worker = job_take.worker
        FOR UPDATE SKIP LOCKED;
    RETURN FOUND;
END
$$;

-- Takes a range off the list, for its batch is done or is to be done in another way. Its row must be there: it was locked by
-- job_take(), and this is what makes a batch happen once.
CREATE FUNCTION conveyor.take_range(job int, worker int, range bigint) RETURNS conveyor.job_range
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    taken conveyor.job_range;
BEGIN
    PERFORM conveyor.check_job_owner(job);
    DELETE FROM conveyor.job_range r
     WHERE r.id = take_range.job AND r.range = take_range.range AND r.worker = take_range.worker
       AND EXISTS (SELECT FROM conveyor.job_state s WHERE s.id = take_range.job AND s.state <> 'cancelled')
    RETURNING r.* INTO taken;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'range % of job "%" is not worker %''s', range, (conveyor.find_job(job)).job, worker
            USING ERRCODE = 'object_not_in_prerequisite_state', DETAIL = 'The job was cancelled, or another worker has taken it over: this batch is rolled back.';
    END IF;
    RETURN taken;
END
$$;

-- Adds to what a worker has done. Tables touched: job_worker.
CREATE FUNCTION conveyor.count_batch(job int, worker int, batches int, rows bigint, retries int, last_key text[]) RETURNS void
    LANGUAGE sql
    SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    INSERT INTO conveyor.job_worker AS w (id, worker, pid, batches, rows_done, retries, last_key)
    VALUES (job, worker, pg_backend_pid(), batches, rows, retries, last_key)
    ON CONFLICT (id, worker) DO UPDATE
       SET pid = excluded.pid, batches = w.batches + excluded.batches, rows_done = w.rows_done + excluded.rows_done,
           retries = w.retries + excluded.retries, last_key = coalesce(excluded.last_key, w.last_key), updated_at = excluded.updated_at;
END;

-- One more of the latest batches. Halves of failed ranges and single rows are not among them: they say nothing of sizes.
-- Tables touched: job_batch.
CREATE FUNCTION conveyor.remember_batch(of_range conveyor.job_range, number bigint, milliseconds real, failed boolean) RETURNS void
    LANGUAGE sql
    SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    INSERT INTO conveyor.job_batch AS b (id, slot, number, worker, finished_at, size, rows, rows_before, milliseconds, failed)
    SELECT (of_range).id, number % 256, number, (of_range).worker, clock_timestamp(), (of_range).size, (of_range).rows,
           (SELECT coalesce(sum(w.rows_done), 0) FROM conveyor.job_worker w WHERE w.id = (of_range).id), milliseconds, failed
    ON CONFLICT (id, slot) DO UPDATE
       SET number = excluded.number, worker = excluded.worker, finished_at = excluded.finished_at, size = excluded.size, rows = excluded.rows,
           rows_before = excluded.rows_before, milliseconds = excluded.milliseconds, failed = excluded.failed
     WHERE b.number <= excluded.number;
END;

-- job_checkpoint: the batch is done; its transaction is about to commit.
-- Tables touched: job_range, job_worker, job_batch, dead_row_store.
CREATE FUNCTION conveyor.job_checkpoint(job int, worker int, range bigint, milliseconds real) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    done conveyor.job_range := conveyor.take_range(job, worker, range);
BEGIN
    IF done.single THEN
        -- Its row was counted when it was found to fail.
        DELETE FROM conveyor.dead_row_store d WHERE d.id = done.id AND conveyor.key_digest(d.key) = conveyor.key_digest(conveyor.key_of(done.last_key));
        PERFORM conveyor.count_batch(job, worker, 1, 0, 0, NULL);
        RETURN;
    END IF;
    IF NOT done.piece THEN
        PERFORM conveyor.remember_batch(done, done.range, milliseconds, false);
    END IF;
    PERFORM conveyor.count_batch(job, worker, 1, done.rows, 0, done.last_key);
    PERFORM conveyor.note_waiters(job, worker);
END
$$;

-- job_finish: nothing is left to claim and no range is open. Tables touched: job_state, migration_state.
CREATE FUNCTION conveyor.job_finish(job int) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM conveyor.check_job_owner(job);
    PERFORM FROM conveyor.job_state s
      WHERE s.id = job AND s.state = 'running' AND s.exhausted AND NOT EXISTS (SELECT FROM conveyor.job_range r WHERE r.id = job)
        FOR UPDATE;
    IF FOUND THEN
        PERFORM conveyor.job_enters(job, (SELECT CASE WHEN s.cursor IS NOT NULL THEN 'following' ELSE 'finished' END
                                             FROM conveyor.job_state s WHERE s.id = job_finish.job));
    END IF;
END
$$;

-- Tables touched: job_state.
CREATE FUNCTION conveyor.job_warn(job int, warning text) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM conveyor.check_job_owner(job);
    UPDATE conveyor.job_state s SET warning = job_warn.warning, updated_at = clock_timestamp()
     WHERE s.id = job AND s.warning IS DISTINCT FROM job_warn.warning;
END
$$;

CREATE FUNCTION conveyor.job_end_key(job int) RETURNS text[]
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM conveyor.check_job_owner(job);
    RETURN (SELECT s.end_key FROM conveyor.job_state s WHERE s.id = job_end_key.job);
END
$$;

CREATE FUNCTION conveyor.job_warn_behind(job int, first_key text[]) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    definition conveyor.job_definition := conveyor.find_job(job);
    behind     text := format('%s has rows from %s on that came after the job began: it has not gone through them; follow => true does', definition.source, conveyor.key_of(first_key));
BEGIN
    PERFORM conveyor.check_job_owner(job);
    -- Beside what the guard has seen.
    PERFORM conveyor.job_warn(job, (SELECT concat_ws('; ', s.warning, behind) FROM conveyor.job_state s WHERE s.id = job));
END
$$;

-- Is this session to run the job now? An error where it may not, or where the job is not what its batches have run by.
CREATE FUNCTION conveyor.job_runnable(job int) RETURNS boolean
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    definition conveyor.job_definition;
BEGIN
    SELECT j.* INTO definition FROM conveyor.job_definition j WHERE j.id = job_runnable.job;
    IF NOT FOUND OR NOT EXISTS (SELECT FROM conveyor.migration_state s WHERE s.migration = definition.migration AND s.state = 'running') THEN
        RETURN false;
    END IF;
    PERFORM conveyor.check_runnable(definition.migration);
    RETURN true;
END
$$;
