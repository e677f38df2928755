-- 85: what people read of migrations. NULL where a thing is not known, never a made-up figure. What a query costs depends on the
-- number of jobs, not on that of batches or rows.

-- A key as people write it: one column's text; of several, their texts as a JSON array.
CREATE FUNCTION conveyor.key_of(parts text[]) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
RETURN CASE WHEN cardinality(parts) = 1 THEN parts[1] ELSE array_to_json(parts)::text END;

-- The planner's count of a table's rows, of all its partitions; NULL where one was never analysed.
CREATE FUNCTION conveyor.relation_rows(relation regclass) RETURNS bigint
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
RETURN (SELECT CASE WHEN min(c.reltuples) >= 0 THEN round(sum(c.reltuples))::bigint END
          FROM (SELECT t.relid FROM pg_partition_tree(relation) AS t WHERE t.isleaf UNION SELECT relation) AS r
          JOIN pg_class c ON c.oid = r.relid AND c.relkind IN ('r', 'm'));

-- Rows per second of a job's latest batches: those of the last minute, or of the last four batches' time where they are longer. A
-- batch that is under way does not lower it until it takes longer than those before. NULL in the first seconds.
CREATE FUNCTION conveyor.job_rate(job int) RETURNS real
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    WITH history AS (
        SELECT b.rows, b.finished_at, make_interval(secs => b.milliseconds / 1000) AS took FROM conveyor.job_batch b WHERE b.id = job_rate.job AND NOT b.failed
    ), recent AS (
        SELECT sum(h.rows) AS rows, count(*) AS batches,
               extract(epoch FROM greatest(max(h.finished_at), clock_timestamp() - max(h.took)) - min(h.finished_at - h.took)) AS seconds
          FROM history h
         WHERE h.finished_at > clock_timestamp() - greatest(interval '1 min', 4 * (SELECT max(took) FROM history))
    )
    SELECT CASE WHEN r.batches > 1 AND r.seconds >= 1 THEN (r.rows / r.seconds)::real END FROM recent r;
END;

-- What holds a job, of all that is known. What a runner has noted counts while it is there; so does what was noted when none could be begun.
CREATE FUNCTION conveyor.job_held(job int, migration_state text, paused_reason text, state text, throttle text, free_at timestamptz) RETURNS text
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    definition conveyor.job_definition;
BEGIN
    IF migration_state = 'paused' AND state IN ('planned', 'running', 'following') THEN
        RETURN concat_ws(': ', 'paused', paused_reason);
    ELSIF migration_state = 'running' AND state IN ('planned', 'running') AND coalesce(throttle, '') NOT LIKE 'waits for a background worker%' THEN
        definition := conveyor.find_job(job);
        IF NOT conveyor.runner_alive(definition.migration, definition.list) AND EXISTS (SELECT FROM conveyor.list_heads(definition.migration) AS h WHERE h.job = job_held.job) THEN
            RETURN 'no worker runs it: SELECT conveyor.tick() starts one';
        END IF;
    ELSIF migration_state IN ('running', 'finishing') AND state = 'following' AND throttle IS NULL AND NOT conveyor.follower_alive(job) THEN
        RETURN 'no worker follows its source: SELECT conveyor.tick() starts one';
    END IF;
    RETURN nullif(concat_ws('; ', throttle,
                            CASE WHEN state = 'running' AND free_at > clock_timestamp() THEN format('rate: %s rows/s', conveyor.job_option(job, 'rate')) END), '');
END
$$;

CREATE VIEW conveyor.job_status AS
SELECT j.migration,
       j.list,
       j.job,
       CASE WHEN m.state = 'paused' AND s.state IN ('running', 'following') THEN 'paused' ELSE coalesce(s.state, 'planned') END AS state,
       j.source,
       j.workers,
       coalesce(s.batch_size, conveyor.job_option(j.id, 'batch_size')::int) AS batch_size,
       w.batches,
       f.rows_done,
       f.rows_total,
       conveyor.percent(f.rows_done, f.rows_total, s.state IN ('following', 'finished')) AS percent,
       f.rows_per_second,
       conveyor.time_left(f.rows_done, f.rows_total, f.rows_per_second) AS eta,
       conveyor.key_of(w.last_key) AS last_key,
       w.retries,
       (SELECT count(*) FROM conveyor.dead_row_store d WHERE d.id = j.id) AS dead_rows,
       conveyor.job_held(j.id, m.state, m.paused_reason, s.state, s.throttle, s.free_at) AS throttle,
       s.warning,
       s.last_error,
       s.started_at,
       greatest(s.updated_at, w.updated_at) AS updated_at,
       s.finished_at,
       l.lag,
       l.changes AS pending
  FROM conveyor.job_definition j
  LEFT JOIN conveyor.migration_state m USING (migration)
  LEFT JOIN conveyor.job_state s USING (id)
 CROSS JOIN LATERAL (SELECT coalesce(sum(w.rows_done), 0)::bigint AS rows_done, coalesce(sum(w.batches), 0)::bigint AS batches, coalesce(sum(w.retries), 0)::bigint AS retries, max(w.updated_at) AS updated_at,
                            (SELECT l.last_key FROM conveyor.job_worker l WHERE l.id = j.id AND l.last_key IS NOT NULL ORDER BY l.updated_at DESC LIMIT 1) AS last_key
                       FROM conveyor.job_worker w WHERE w.id = j.id) AS w
 CROSS JOIN LATERAL (SELECT w.rows_done,
                            -- Once everything is claimed it is known what is left; before, the estimate is at least what is done. All rows of the
                            -- source count, whether a `where` is for them or not: that is what a job goes through.
                            CASE WHEN s.exhausted THEN w.rows_done + (SELECT coalesce(sum(r.rows), 0)::bigint FROM conveyor.job_range r WHERE r.id = j.id AND NOT r.single)
                                 WHEN s.started_at IS NOT NULL THEN greatest(s.rows_total, CASE WHEN s.rows_total IS NOT NULL THEN w.rows_done END)
                                 ELSE conveyor.relation_rows(j.source) END AS rows_total,
                            CASE WHEN m.state IN ('running', 'finishing') AND s.state = 'running' THEN conveyor.job_rate(j.id) END AS rows_per_second) AS f
 CROSS JOIN LATERAL conveyor.follow_lag(j.id) AS l
 ORDER BY j.migration, j.list, j.id;
COMMENT ON VIEW conveyor.job_status IS
    'how every job fares; eta is the time left at the rate of the last minute, throttle what holds it, warning what will hurt, lag the age of the oldest change of its source that it has still to apply, pending how many there are';

CREATE VIEW conveyor.migration_status AS
SELECT m.migration,
       coalesce(s.state, 'planned') AS state,
       m.owner,
       j.jobs,
       j.jobs_finished,
       j.rows_done,
       j.rows_total,
       conveyor.percent(j.rows_done, j.rows_total, s.state = 'finished' OR j.done) AS percent,
       j.rows_per_second,
       CASE WHEN s.state = 'running' THEN j.eta END AS eta,
       j.dead_rows,
       CASE WHEN s.state = 'paused' THEN concat_ws(': ', 'paused', s.paused_reason) ELSE j.throttle END AS throttle,
       coalesce(s.last_error, j.last_error) AS last_error,
       s.started_at,
       s.finished_at
  FROM conveyor.migration_definition m
  LEFT JOIN conveyor.migration_state s USING (migration)
 CROSS JOIN LATERAL (
       SELECT coalesce(sum(l.jobs), 0)::bigint AS jobs, coalesce(sum(l.jobs_finished), 0)::bigint AS jobs_finished,
              coalesce(sum(l.rows_done), 0)::bigint AS rows_done,
              CASE WHEN bool_and(l.total_known) THEN sum(l.rows_total)::bigint END AS rows_total,
              bool_and(l.done) AS done,
              sum(l.rows_per_second)::real AS rows_per_second,
              coalesce(sum(l.dead_rows), 0)::bigint AS dead_rows,
              -- Lists run beside each other: the slowest one decides. A list whose rate is not known leaves it open.
              CASE WHEN bool_and(l.done OR l.eta IS NOT NULL) THEN max(l.eta) END AS eta,
              string_agg(DISTINCT l.throttle, '; ') AS throttle,
              string_agg(l.last_error, '; ' ORDER BY l.list) AS last_error
         FROM (SELECT p.list, count(*) AS jobs, count(*) FILTER (WHERE p.state = 'finished') AS jobs_finished,
                      sum(p.rows_done) AS rows_done, sum(p.rows_total) AS rows_total, bool_and(p.rows_total IS NOT NULL) AS total_known,
                      sum(p.rows_per_second) AS rows_per_second, sum(p.dead_rows) AS dead_rows,
                      bool_and(coalesce(p.percent = 100, false)) AS done,        -- a pause shows in place of their state
                      -- The jobs to come are taken to be as fast as the one that runs.
                      conveyor.time_left(sum(p.rows_done)::bigint, CASE WHEN bool_and(p.rows_total IS NOT NULL) THEN sum(p.rows_total)::bigint END,
                                         sum(p.rows_per_second)::real) AS eta,
                      string_agg(DISTINCT p.throttle, '; ') AS throttle,
                      string_agg(format('%s: %s', p.job, p.last_error), '; ') FILTER (WHERE p.last_error IS NOT NULL) AS last_error
                 FROM conveyor.job_status p WHERE p.migration = m.migration GROUP BY p.list) AS l) AS j
 ORDER BY m.migration;
COMMENT ON VIEW conveyor.migration_status IS 'how every migration fares; eta is the time left at the present rate, NULL while it is not known';

CREATE VIEW conveyor.dead_row AS
SELECT j.migration, j.job, d.key, d.sqlstate, d.reason, d.first_at
  FROM conveyor.dead_row_store d
  JOIN conveyor.job_definition j USING (id);
COMMENT ON VIEW conveyor.dead_row IS 'rows of a source for which the statement fails, each with the error; retry_migration() tries them again';
