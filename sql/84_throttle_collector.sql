-- 84: the collectors of throttles. They run as the extension's owner, since what they look at is not for everyone; in PL/pgSQL, which
-- keeps their plans from one second to the next.

CREATE FUNCTION conveyor.shown_seconds(milliseconds numeric) RETURNS text
    LANGUAGE sql IMMUTABLE
    SET search_path = pg_catalog, pg_temp
RETURN trim_scale(round(milliseconds / 1000, 1)) || ' s';

-- Standbys that should be there and are not: their lag is not known.
CREATE FUNCTION conveyor.missing_standby() RETURNS text
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN (SELECT string_agg(missing, ', ') FROM (
                SELECT format('no standby is connected to replication slot "%s"', s.slot_name) AS missing
                  FROM pg_replication_slots s WHERE s.slot_type = 'physical' AND NOT s.active AND s.restart_lsn IS NOT NULL
                UNION ALL
                SELECT format('no synchronous standby is connected (synchronous_standby_names = %s)', current_setting('synchronous_standby_names'))
                 WHERE current_setting('synchronous_standby_names') <> ''
                   AND NOT EXISTS (SELECT FROM pg_stat_replication r WHERE r.sync_state IN ('sync', 'quorum'))) AS m);
END
$$;

-- How far each receiver is behind, in time and in bytes. One that has stopped to answer lags since its last answer.
CREATE FUNCTION conveyor.standby_lags() RETURNS TABLE (name text, milliseconds numeric, bytes numeric)
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN QUERY
    SELECT coalesce(nullif(r.application_name, ''), r.pid::text),
           extract(epoch FROM greatest(r.replay_lag, CASE WHEN p.reached < r.sent_lsn THEN clock_timestamp() - r.reply_time END)) * 1000,
           CASE WHEN p.reached IS NULL THEN NULL ELSE greatest(pg_current_wal_lsn() - p.reached, 0) END
      FROM pg_stat_replication r, LATERAL (SELECT coalesce(r.replay_lsn, r.flush_lsn, r.write_lsn)) AS p(reached)
     WHERE r.state IN ('catchup', 'streaming');
END
$$;

CREATE FUNCTION conveyor.throttle_replication_lag(job int, ceiling numeric) RETURNS text
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN coalesce(conveyor.missing_standby(),
                    (SELECT format('standby "%s" %s > %s', l.name, conveyor.shown_seconds(l.milliseconds), conveyor.shown_seconds(ceiling))
                       FROM conveyor.standby_lags() AS l WHERE l.milliseconds > ceiling ORDER BY l.milliseconds DESC LIMIT 1));
END
$$;

CREATE FUNCTION conveyor.throttle_replication_lag_bytes(job int, ceiling numeric) RETURNS text
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN (SELECT format('%s %s > %s', l.name, pg_size_pretty(l.bytes), pg_size_pretty(ceiling))
              FROM (SELECT format('standby "%s"', s.name), s.bytes FROM conveyor.standby_lags() AS s
                    UNION ALL
                    -- WAL that is kept for a receiver which is gone, a logical one too.
                    SELECT format('replication slot "%s"', s.slot_name), pg_current_wal_lsn() - s.restart_lsn FROM pg_replication_slots s WHERE NOT s.active) AS l(name, bytes)
             WHERE l.bytes > ceiling ORDER BY l.bytes DESC LIMIT 1);
END
$$;

CREATE FUNCTION conveyor.throttle_wal_archiving(job int, ceiling numeric) RETURNS text
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN CASE WHEN current_setting('archive_mode') <> 'off' THEN (
               SELECT CASE WHEN w.waiting > 0 AND a.last_failed_time > coalesce(a.last_archived_time, '-infinity')
                           THEN format('archiving of %s fails, last at %s; %s files waiting', a.last_failed_wal, to_char(a.last_failed_time, 'HH24:MI:SS'), w.waiting)
                           WHEN w.waiting > ceiling THEN format('%s files waiting > %s', w.waiting, ceiling) END
                 FROM pg_stat_archiver a, (SELECT count(*) FROM pg_ls_archive_statusdir() AS f WHERE f.name LIKE '%.ready') AS w(waiting)) END;
END
$$;

-- The tables that a job reads or writes, with their partitions.
CREATE FUNCTION conveyor.job_tables(job int) RETURNS SETOF oid
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN QUERY
    SELECT DISTINCT coalesce(t.relid::oid, r.relation::oid)
      FROM conveyor.job_definition j,
           LATERAL unnest(j.source || j.targets) AS r(relation)
      LEFT JOIN LATERAL pg_partition_tree(r.relation) AS t ON true
     WHERE j.id = job_tables.job;
END
$$;

CREATE FUNCTION conveyor.throttle_autovacuum(job int, ceiling numeric) RETURNS text
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN (SELECT format('%s running on %s > %s', count(*), string_agg(DISTINCT v.relid::regclass::text, ', '), ceiling)
              FROM pg_stat_progress_vacuum v JOIN pg_stat_activity a USING (pid)
             WHERE v.datid = (SELECT d.oid FROM pg_database d WHERE d.datname = current_database())
               AND a.backend_type = 'autovacuum worker' AND v.relid IN (SELECT conveyor.job_tables(job))
            HAVING count(*) > ceiling);
END
$$;

-- Dead rows against the number at which autovacuum is due, which counts as 100,000 at least: small tables come and go.
CREATE FUNCTION conveyor.throttle_dead_rows(job int, ceiling numeric) RETURNS text
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN (SELECT format('%s in %s, %s × what autovacuum waits for > %s', d.dead, d.relation, round(d.dead / d.due, 1), ceiling)
              FROM (SELECT c.oid::regclass AS relation, pg_stat_get_dead_tuples(c.oid)::numeric AS dead,
                           greatest(coalesce(o.threshold, current_setting('autovacuum_vacuum_threshold'))::numeric
                                    + coalesce(o.factor, current_setting('autovacuum_vacuum_scale_factor'))::numeric * greatest(c.reltuples, 0)::numeric, 100000) AS due
                      FROM pg_class c,
                           LATERAL (SELECT max(e.option_value) FILTER (WHERE e.option_name = 'autovacuum_vacuum_threshold'),
                                           max(e.option_value) FILTER (WHERE e.option_name = 'autovacuum_vacuum_scale_factor'),
                                           coalesce(bool_and(e.option_value::boolean) FILTER (WHERE e.option_name = 'autovacuum_enabled'), true)
                                      FROM pg_options_to_table(c.reloptions) AS e) AS o(threshold, factor, enabled)
                     WHERE c.oid IN (SELECT conveyor.job_tables(job)) AND c.relkind IN ('r', 'm')
                       AND o.enabled AND current_setting('autovacuum')::boolean) AS d
             WHERE d.dead > ceiling * d.due ORDER BY d.dead / d.due DESC LIMIT 1);
END
$$;

-- Sessions that wait for a lock which one of these has; workers of migrations are not counted.
CREATE FUNCTION conveyor.sessions_behind(pids int[]) RETURNS int
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN (SELECT count(*) FROM pg_stat_activity a
             WHERE a.wait_event_type = 'Lock' AND a.backend_type = 'client backend' AND pg_blocking_pids(a.pid) && pids
               AND NOT EXISTS (SELECT FROM conveyor.job_worker w WHERE w.pid = a.pid));
END
$$;

-- At the end of a batch, before its locks are gone: whoever waits behind it now would not be seen afterwards. Twice a second at most.
-- Tables touched: job_worker.
CREATE FUNCTION conveyor.note_waiters(job int, worker int) RETURNS void
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    UPDATE conveyor.job_worker w SET waiters = conveyor.sessions_behind(ARRAY[pg_backend_pid()]), waiters_at = clock_timestamp()
     WHERE w.id = job AND w.worker = note_waiters.worker AND (w.waiters_at IS NULL OR w.waiters_at < clock_timestamp() - interval '500 ms');
END
$$;

-- Who waits behind a worker's open batch, or waited at the end of one within the last second: then writers get that second.
CREATE FUNCTION conveyor.throttle_lock_waiters(job int, ceiling numeric) RETURNS text
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN (SELECT format('%s sessions blocked > %s', n.waiting, ceiling)
              FROM (SELECT greatest(conveyor.sessions_behind(ARRAY(SELECT w.pid FROM conveyor.job_worker w WHERE w.id = job AND w.pid IS NOT NULL)),
                                    (SELECT max(w.waiters) FROM conveyor.job_worker w
                                      WHERE w.id = job AND w.waiters_at > clock_timestamp() - interval '1 s'))) AS n(waiting)
             WHERE n.waiting > ceiling);
END
$$;

-- WAL since the last finished checkpoint began, in percent of max_wal_size: past 100 the checkpointer is behind.
CREATE FUNCTION conveyor.throttle_checkpoint(job int, ceiling numeric) RETURNS text
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN (SELECT format('%s of WAL since the last one, %s %% of max_wal_size > %s %%', pg_size_pretty(w.bytes), round(100 * w.bytes / w.size), ceiling)
              FROM (SELECT pg_current_wal_lsn() - c.redo_lsn, pg_size_bytes(current_setting('max_wal_size'))::numeric FROM pg_control_checkpoint() AS c) AS w(bytes, size)
             WHERE 100 * w.bytes / w.size > ceiling);
END
$$;

INSERT INTO conveyor.throttle_kind (name, type, default_limit, collector, description) VALUES
('replication_lag', 'interval', '"30 s"', 'conveyor.throttle_replication_lag(int, numeric)',
 'How long ago what a standby or subscriber has applied was written. One that should be connected and is not holds as well.'),
('replication_lag_bytes', 'bytes', '"1GB"', 'conveyor.throttle_replication_lag_bytes(int, numeric)',
 'WAL that a standby or subscriber has yet to apply, or that is kept for one which is gone.'),
('wal_archiving', 'integer', '64', 'conveyor.throttle_wal_archiving(int, numeric)',
 'WAL files that wait for the archiver. Archiving that fails holds as well.'),
('autovacuum', 'integer', 'false', 'conveyor.throttle_autovacuum(int, numeric)',
 'Autovacuum workers on the tables of the job. 0: wait while there is one.'),
('dead_rows', 'real', '5', 'conveyor.throttle_dead_rows(int, numeric)',
 'Rows of a table of the job that wait for vacuum, as a multiple of the number at which autovacuum is due.'),
('lock_waiters', 'integer', '0', 'conveyor.throttle_lock_waiters(int, numeric)',
 'Sessions that wait for locks which batches of the job have.'),
('checkpoint', 'integer', '300', 'conveyor.throttle_checkpoint(int, numeric)',
 'WAL since the last checkpoint, in percent of max_wal_size.');
