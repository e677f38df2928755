-- Housekeeping that somebody has to call now and then: every agent does, once a second; psql, a scheduler or a script may as well.

-- tick() -> void
--   Empties segments of the change log that every delivery and job has left behind and grows the ring where it wrapped onto
--   one that could not be emptied; takes captures off that nobody needs any more; lets go of the log for jobs that stand still
--   while it fills; ends resyncs whose keys nobody brings any more. Lets go of indices that a rebuild has replaced and that have been kept for long enough. Begins the
--   re-checks of feeds that depend on the clock. Begins background workers for migrations that run and have none: after a crash, a restart, a failover, or
--   when there was no free one before. Cheap when there is nothing to do, safe to call from anywhere at any time.
--   Tables touched: conveyor.log_segment and the segments, capture, job_state, index_rebuild, request.
CREATE FUNCTION conveyor.tick() RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM conveyor.finish_abandoned();
    PERFORM conveyor.fail_lost_loads();
    PERFORM conveyor.release_captures();
    PERFORM conveyor.release_followed_log();
    PERFORM conveyor.drop_replaced_indices();
    PERFORM conveyor.recheck_by_clock();
    PERFORM conveyor.log_rotate();
    PERFORM conveyor.launch_due();
END
$$;

COMMENT ON FUNCTION conveyor.tick() IS
    'housekeeping: empties and grows the change log, restarts what a crash left of migrations; safe to call from anywhere at any time';
