-- 70: what people read. NULL where a thing is not known, never a made-up figure. In a fixed order, so that lines stay where they are under \watch.

-- What lies between a delivery's cursor and the latest snapshot. For a caller without rights on the log.
CREATE FUNCTION conveyor.pending(delivery text, OUT changes bigint, OUT oldest timestamptz, OUT signals bigint)
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    SELECT p.changes, p.oldest, p.signals INTO changes, oldest, signals
      FROM conveyor.delivery_state s
      JOIN conveyor.delivery_definition d USING (delivery)
     CROSS JOIN LATERAL conveyor.log_pending(s.cursor, conveyor.feed_captures(d.feed)) AS p
     WHERE s.delivery = pending.delivery;
END
$$;

-- The request whose progress is the delivery's progress: what fills it now or filled it last (a newer one replaces an open one).
CREATE FUNCTION conveyor.filling(delivery text) RETURNS conveyor.request
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT r FROM conveyor.request r
     WHERE r.delivery = filling.delivery AND r.kind IN ('backfill', 'recheck') AND r.state <> 'cancelled'
     ORDER BY r.id DESC
     LIMIT 1;
END;

CREATE FUNCTION conveyor.percent(done bigint, total bigint, finished boolean) RETURNS numeric
    LANGUAGE sql IMMUTABLE
    SET search_path = pg_catalog, pg_temp
-- The total is an estimate: one that has been passed says nothing.
RETURN CASE WHEN finished THEN 100.0 WHEN total > 0 AND done <= total THEN least(99.9, round(100.0 * done / total, 1)) END;

CREATE FUNCTION conveyor.time_left(done bigint, total bigint, per_second real) RETURNS interval
    LANGUAGE sql IMMUTABLE
    SET search_path = pg_catalog, pg_temp
RETURN CASE WHEN per_second > 0 AND done < total THEN make_interval(secs => round(((total - done) / per_second)::numeric)::float8) END;

-- A rate as it is shown.
CREATE FUNCTION conveyor.shown(per_second real) RETURNS real
    LANGUAGE sql IMMUTABLE
    SET search_path = pg_catalog, pg_temp
RETURN round(per_second::numeric, 1)::real;

CREATE VIEW conveyor.delivery_status AS
SELECT d.delivery,
       d.feed,
       d.target,
       d.destination,
       state.name AS state,
       conveyor.percent(fill.keys_done, fill.keys_total, fill.state = 'finished') AS percent,
       -- Beside an open backfill or re-check the log does not tell all: a figure from it may stand, "nothing" may not.
       CASE WHEN doubt.open THEN nullif(p.changes + p.signals, 0) ELSE p.changes + p.signals END AS pending,
       CASE WHEN doubt.open THEN NULL
            WHEN p.changes + p.signals = 0 THEN interval '0'
            ELSE greatest(clock_timestamp() - p.oldest, interval '0') END AS lag,
       s.documents_sent,
       s.documents_deleted,
       s.superseded,
       s.retries,
       (SELECT count(*) FROM conveyor.dead_letter_store l WHERE l.delivery = d.delivery) AS dead_letters,
       CASE WHEN live.agent IS NOT NULL THEN conveyor.shown(s.documents_per_second) END AS documents_per_second,
       CASE WHEN s.paused_at IS NOT NULL THEN concat_ws(': ', 'paused', s.paused_reason)
            WHEN s.held_at IS NOT NULL THEN s.held_reason
            WHEN NOT i.confirmed THEN 'this database is not the one that documents were delivered from: '
                                      'if it is to deliver from now on, run SELECT conveyor.confirm_epoch()'
            WHEN live.agent IS NULL THEN 'no agent works on it: start one with "conveyor agent"'
                                         || CASE WHEN d.options -> 'tags' <> '[]' THEN ' and the tags ' || (d.options ->> 'tags') ELSE '' END
            ELSE nullif(concat_ws('; ', s.throttle, 're-check: ' || s.stale_reason), '') END AS throttle,
       s.last_error,
       live.agent,
       s.updated_at,
       fill.keys_total AS documents_total,
       CASE WHEN doubt.open AND live.agent IS NOT NULL AND s.paused_at IS NULL AND s.held_at IS NULL
            THEN conveyor.time_left(fill.keys_done, fill.keys_total, s.documents_per_second) END AS eta,
       s.started_at,
       conveyor.rebuild_shown(d.delivery) AS rebuild
  FROM conveyor.delivery_definition d
  JOIN conveyor.delivery_state s USING (delivery)
 CROSS JOIN conveyor.identity i
 CROSS JOIN LATERAL conveyor.state_name(s) AS state(name)
 CROSS JOIN LATERAL conveyor.pending(d.delivery) AS p
 CROSS JOIN LATERAL conveyor.filling(d.delivery) AS fill
 CROSS JOIN LATERAL (SELECT fill.state IN ('open', 'paused') IS TRUE OR s.stale_at IS NOT NULL OR NOT i.confirmed OR conveyor.index_filling(s.index)) AS doubt(open)
  LEFT JOIN conveyor.live_agent live ON live.agent = s.agent
 WHERE d.rebuild_of IS NULL
 ORDER BY d.delivery;
COMMENT ON VIEW conveyor.delivery_status IS
    'how every delivery fares; pending counts captured keys before fan-out, lag is the age of the oldest undelivered change, eta is the time left';

CREATE VIEW conveyor.resync_status AS
SELECT r.id,
       r.delivery,
       coalesce(r.source, r.kind) AS source,
       CASE WHEN r.state = 'open' THEN CASE WHEN r.started_at IS NULL THEN 'planned' WHEN r.phase = 'sweep' THEN 'sweeping' ELSE 'running' END
            ELSE r.state END AS state,
       r.keys_done,
       CASE WHEN r.state <> 'loading' THEN r.keys_total END AS keys_total,
       conveyor.percent(r.keys_done, r.keys_total, r.state = 'finished') AS percent,
       CASE WHEN r.state = 'open' AND r.started_at IS NOT NULL AND r.keys_done > 0 AND live.agent IS NOT NULL
            THEN conveyor.time_left(r.keys_done, r.keys_total, s.documents_per_second) END AS eta,
       r.requested_by,
       r.started_at,
       r.finished_at,
       coalesce(r.last_error, CASE WHEN r.state = 'open' THEN s.last_error END) AS last_error,    -- what stands in its way
       r.reason,
       r.created_at
  FROM conveyor.request r
  JOIN conveyor.delivery_state s USING (delivery)
  LEFT JOIN conveyor.live_agent live ON live.agent = s.agent
 ORDER BY r.id;
COMMENT ON VIEW conveyor.resync_status IS 'backfills, re-checks and resyncs: loading (its keys are still being read), planned, running, sweeping, paused, finished, cancelled or failed';

CREATE VIEW conveyor.rebuild_status AS
SELECT r.id,
       r.delivery,
       r.state,
       CASE WHEN r.state IN ('filling', 'verifying') THEN conveyor.percent(work.keys_done, work.keys_total, false) END AS percent,
       CASE WHEN r.state IN ('filling', 'verifying') AND live.agent IS NOT NULL
            THEN conveyor.time_left(work.keys_done, work.keys_total, s.documents_per_second) END AS eta,
       r.old_index,
       r.new_index,
       CASE WHEN r.beside IS NOT NULL THEN conveyor.rebuild_refused(r.delivery) END AS documents_refused,
       CASE WHEN r.beside IS NULL THEN NULL
            WHEN r.state = 'held' THEN r.reason
            WHEN s.paused_at IS NOT NULL THEN concat_ws(': ', 'paused', s.paused_reason)
            WHEN s.held_at IS NOT NULL THEN s.held_reason
            WHEN live.agent IS NULL AND r.state NOT IN ('kept', 'rolled_back') THEN 'no agent works on it'
            ELSE nullif(concat_ws('; ', s.throttle, 're-check: ' || s.stale_reason), '') END AS throttle,
       s.last_error,
       CASE r.state WHEN 'kept' THEN r.switched_at + conveyor.rebuild_keep(r.delivery) END AS kept_until,
       r.requested_by,
       r.asked_at,
       r.switched_at,
       r.finished_at
  FROM conveyor.index_rebuild r
  LEFT JOIN conveyor.delivery_state s ON s.delivery = r.beside
  LEFT JOIN conveyor.live_agent live ON live.agent = s.agent
 CROSS JOIN LATERAL conveyor.rebuild_request(r.beside) AS work
 ORDER BY r.id;
COMMENT ON VIEW conveyor.rebuild_status IS
    'rebuilds: asked, filling, verifying, held, switching, kept (both indices are live), rolling_back, rolled_back, dropped or cancelled';

CREATE VIEW conveyor.agent_status AS
SELECT a.agent,
       a.host,
       a.pid,
       a.version,
       a.tags,
       clock_timestamp() - a.heartbeat_at AS heartbeat_age,
       (SELECT count(*) FROM conveyor.delivery_state s WHERE s.agent = a.agent) AS deliveries,
       conveyor.shown(live.documents_per_second) AS documents_per_second
  FROM conveyor.agent a
  LEFT JOIN conveyor.live_agent live USING (agent)
 ORDER BY a.agent;
COMMENT ON VIEW conveyor.agent_status IS 'agents, how long ago each was heard of, how many deliveries it holds';

-- Bytes and oldest row of each capture in the log. Reads the log's rows, but not what they hold out of line.
CREATE FUNCTION conveyor.log_usage() RETURNS TABLE (capture int, bytes bigint, oldest timestamptz)
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    segment regclass;
BEGIN
    FOR segment IN SELECT g.relation FROM conveyor.log_segment g ORDER BY g.number LOOP
        RETURN QUERY EXECUTE format('SELECT l.capture, sum(pg_column_size(l.*))::bigint, min(l.flushed_at) FROM %s AS l GROUP BY l.capture', segment);
    END LOOP;
END
$$;
