-- 86: batches that failed: their ranges are put off, divided, or end as a dead row; too many of them stop the job.

-- Numbers for `count` new ranges, or for failures among the latest batches; returns the first.
CREATE FUNCTION conveyor.number_ranges(job int, count int) RETURNS bigint
    LANGUAGE sql
    SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    UPDATE conveyor.job_state s SET ranges = s.ranges + count WHERE s.id = job RETURNING s.ranges - count + 1;
END;

-- A batch failed. Returns true, and the job has failed, when more than half of its last 20 batches did.
CREATE FUNCTION conveyor.count_failure(failed conveyor.job_range, error text) RETURNS boolean
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    failures int;
BEGIN
    PERFORM conveyor.remember_batch(failed, conveyor.number_ranges(failed.id, 1), 0, true);
    SELECT count(*) FILTER (WHERE b.failed) INTO failures
      FROM (SELECT l.failed FROM conveyor.job_batch l WHERE l.id = count_failure.failed.id ORDER BY l.number DESC LIMIT 20) AS b;
    IF failures <= 10 THEN
        RETURN false;
    END IF;
    PERFORM conveyor.job_fail(failed.id, format('%s of the last 20 batches failed, the latest with %s', failures, error));
    RETURN true;
END
$$;

-- job_put_off: tried again `delay` ms later. `counts`: among the failures that may become too many. Returns true when the job has failed by it.
-- Tables touched: job_range, job_worker, job_batch, job_state.
CREATE FUNCTION conveyor.job_put_off(job int, worker int, range bigint, error text, delay bigint, counts boolean) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    failed conveyor.job_range := conveyor.take_range(job, worker, range);
BEGIN
    INSERT INTO conveyor.job_range (id, range, worker, first_key, last_key, single, piece, rows, size, attempts, not_before)
    VALUES (failed.id, failed.range, failed.worker, failed.first_key, failed.last_key, failed.single, failed.piece, failed.rows, failed.size,
            failed.attempts + 1, clock_timestamp() + make_interval(secs => delay / 1000.0));
    UPDATE conveyor.job_state s SET last_error = error, updated_at = clock_timestamp() WHERE s.id = failed.id;
    PERFORM conveyor.count_batch(job, worker, 0, 0, 1, NULL);
    RETURN counts AND conveyor.count_failure(failed, error);
END
$$;

-- job_split: in place of a range that failed, its two halves: up to `middle`, with first_rows rows, and behind it.
--   delay   ms until they may be tried, and until then smaller batches are made; -1: at once, for it is a row that is at fault
--   counts  among the failures that may become too many; half of a range that fails is no further one
-- Returns true when the job has failed by it. Tables touched: job_range, job_worker, job_batch, job_state.
CREATE FUNCTION conveyor.job_split(job int, worker int, range bigint, middle text[], first_rows int, error text, delay bigint, counts boolean) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    failed conveyor.job_range := conveyor.take_range(job, worker, range);
    due    CONSTANT timestamptz := CASE WHEN delay >= 0 THEN clock_timestamp() + make_interval(secs => delay / 1000.0) END;
    tried  CONSTANT int := failed.attempts + (delay >= 0)::int;
    number CONSTANT bigint := conveyor.number_ranges(job, 2);
    -- What is counted as done in the end is what was claimed, though rows may have come and gone since.
    first_share CONSTANT int := least(first_rows, failed.rows);
BEGIN
    INSERT INTO conveyor.job_range (id, range, worker, first_key, last_key, piece, rows, size, attempts, not_before) VALUES
    (failed.id, number, failed.worker, failed.first_key, middle, true, first_share, failed.size, tried, due),
    (failed.id, number + 1, failed.worker, middle, failed.last_key, true, failed.rows - first_share, failed.size, tried, due);
    UPDATE conveyor.job_state s
       SET last_error = error, updated_at = clock_timestamp(),
           batch_size = CASE WHEN delay < 0 THEN s.batch_size
                             ELSE least(s.batch_size, greatest(failed.size / 2, (conveyor.job_option(s.id, 'min_batch_size'))::int)) END
     WHERE s.id = failed.id;
    PERFORM conveyor.count_batch(job, worker, 0, 0, 1, NULL);
    RETURN counts AND conveyor.count_failure(failed, error);
END
$$;

-- job_dead_row: the range is this one row, and the statement fails for it. It counts as gone through. Returns true when the job
-- has failed by it: it has more dead rows than dead_row_limit.
-- Tables touched: job_range, dead_row_store, job_worker, job_batch, job_state.
CREATE FUNCTION conveyor.job_dead_row(job int, worker int, range bigint, parts text[], sqlstate text, reason text) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    failed conveyor.job_range := conveyor.take_range(job, worker, range);
    most   CONSTANT bigint := conveyor.job_option(job, 'dead_row_limit');
    rows   bigint;
BEGIN
    INSERT INTO conveyor.dead_row_store AS d (id, key, parts, sqlstate, reason)
    VALUES (failed.id, conveyor.key_of(parts), parts, job_dead_row.sqlstate, job_dead_row.reason)
    ON CONFLICT (id, conveyor.key_digest(key)) DO UPDATE SET sqlstate = excluded.sqlstate, reason = excluded.reason;
    UPDATE conveyor.job_state s SET last_error = reason, updated_at = clock_timestamp() WHERE s.id = failed.id;
    PERFORM conveyor.count_batch(job, worker, CASE WHEN failed.single THEN 0 ELSE 1 END, CASE WHEN failed.single THEN 0 ELSE failed.rows END, 1,
                                 CASE WHEN NOT failed.single THEN failed.last_key END);
    SELECT count(*) INTO rows FROM conveyor.dead_row_store d WHERE d.id = job_dead_row.job;
    IF rows > most THEN
        PERFORM conveyor.job_fail(job, format('more than %s dead rows (dead_row_limit), the latest with %s', most, reason));
        RETURN true;
    END IF;
    RETURN NOT failed.piece AND NOT failed.single AND conveyor.count_failure(failed, reason);
END
$$;

-- job_fail: the job stops, also one that has not begun: what comes behind it in its list waits. What failed before does not count
-- against it when it is taken up again. Tables touched: job_state, job_batch, migration_state.
CREATE FUNCTION conveyor.job_fail(job int, error text) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    state text;
BEGIN
    IF NOT EXISTS (SELECT FROM conveyor.job_definition d WHERE d.id = job_fail.job) THEN
        RETURN;                                             -- dropped: that may be what it failed by
    END IF;
    PERFORM conveyor.check_job_owner(job);
    SELECT s.state INTO state FROM conveyor.job_state s WHERE s.id = job FOR UPDATE;
    IF state IN ('planned', 'running', 'following') THEN
        DELETE FROM conveyor.job_batch b WHERE b.id = job AND b.failed;
        PERFORM conveyor.job_enters(job, 'failed', error);
    END IF;
END
$$;
