-- 48: one delivery that stands still must not cost all others their log. Past conveyor.max_log_size writers record only that
-- they wrote, and every delivery must compare everything. So at three quarters of it, those that hold the log without
-- moving are made stale: they alone will compare, once they go on.

CREATE FUNCTION conveyor.release_log() RETURNS void
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    bound    bigint;
    delivery text;
BEGIN
    PERFORM conveyor.latest_snapshot();      -- loads the library, and with it the settings
    bound := pg_size_bytes(current_setting('conveyor.max_log_size'));
    IF bound < 0 OR conveyor.log_size() < bound * 0.75 THEN
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
