-- 84: how far the jobs that follow their source are behind it.

-- All captures, also retired ones, whose rows in the log concern the job.
CREATE FUNCTION conveyor.job_captures(job int) RETURNS int[]
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT coalesce(array_agg(c.capture ORDER BY c.capture), '{}') FROM conveyor.job_definition j JOIN conveyor.capture c ON c.relation = j.source::oid
     WHERE j.id = job_captures.job;
END;

-- How far a job is behind its source: keys in the log beyond its cursor (as captured: a key changed by two transactions counts
-- twice) but for those that the window under way has applied, and the age of the oldest beyond the cursor.
CREATE FUNCTION conveyor.follow_lag(job int, OUT changes bigint, OUT lag interval)
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    SELECT greatest(p.changes - coalesce(w.seen, 0), 0) + p.signals, CASE WHEN p.changes + p.signals = 0 THEN interval '0' ELSE greatest(clock_timestamp() - p.oldest, interval '0') END
      INTO changes, lag
      FROM conveyor.job_state s
     CROSS JOIN LATERAL conveyor.log_pending(s.cursor, conveyor.job_captures(s.id)) AS p
      LEFT JOIN conveyor.job_window w ON w.id = s.id AND w.began::text = s.cursor::text
     WHERE s.id = follow_lag.job AND s.cursor IS NOT NULL;
END
$$;
