-- 48: one delivery or job that stands still must not cost all others their log. Past conveyor.max_log_size writers record only
-- that they wrote, and everybody must compare everything. So at three quarters of it, those that hold the log without
-- moving are made stale: they alone will compare (a job: copy again), once they go on. Jobs: 87_follow.sql.

CREATE FUNCTION conveyor.log_is_tight() RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    bound bigint;
BEGIN
    PERFORM conveyor.latest_snapshot();      -- loads the library, and with it the settings
    bound := pg_size_bytes(current_setting('conveyor.max_log_size'));
    RETURN bound >= 0 AND conveyor.log_size() >= bound * 0.75;
END
$$;

CREATE FUNCTION conveyor.release_log() RETURNS void
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    delivery text;
BEGIN
    IF NOT conveyor.log_is_tight() THEN
        RETURN;
    END IF;
    FOR delivery IN
        SELECT s.delivery
          FROM conveyor.delivery_state s
          JOIN conveyor.delivery_definition d USING (delivery)
         CROSS JOIN conveyor.identity i
         WHERE (s.paused_at IS NOT NULL OR s.held_at IS NOT NULL OR NOT i.confirmed
                OR s.advanced_at < clock_timestamp() - interval '15 min'
                OR NOT EXISTS (SELECT FROM conveyor.live_agent l WHERE l.agent = s.agent))
           AND conveyor.log_has_pending(s.cursor, conveyor.feed_captures(d.feed))
         ORDER BY s.delivery
           FOR UPDATE OF s SKIP LOCKED
    LOOP
        PERFORM conveyor.write_journal('release log', delivery, 'the change log has reached three quarters of conveyor.max_log_size');
        PERFORM conveyor.open_recheck(delivery, 'it stood still while the change log reached three quarters of conveyor.max_log_size');
    END LOOP;
END
$$;
