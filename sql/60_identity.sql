-- 60: the database's identity. A promotion, a restore or a clone may have lost transactions whose documents are delivered,
-- and a clone must not send into production. So a change of identity begins a new epoch, which someone confirms.

-- One row, written when the first delivery is made. It is dumped, so that a restored database finds itself to be another one.
CREATE TABLE conveyor.identity (
    only_row           boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    system_identifier  bigint NOT NULL,
    database           oid NOT NULL,
    timeline           int NOT NULL,
    epoch              int NOT NULL CHECK (epoch BETWEEN 1 AND 32767),
    confirmed          boolean NOT NULL,
    noticed_at         timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE conveyor.identity IS 'which cluster, database and timeline the deliveries belong to; see confirm_epoch()';
SELECT pg_catalog.pg_extension_config_dump('conveyor.identity', '');

-- The timeline that WAL is written on: right from the moment of a promotion, when the control file still names the old one.
CREATE FUNCTION conveyor.timeline() RETURNS int
    LANGUAGE sql VOLATILE
    SET search_path = pg_catalog, pg_temp
RETURN ('x' || left(pg_walfile_name(pg_current_wal_insert_lsn()), 8))::bit(32)::int;

-- May something that was read with this version be sent? Cheap: fence() asks every time, since it cannot wait for the next
-- agent_sync() to notice a promotion.
CREATE FUNCTION conveyor.identity_holds(version bigint) RETURNS boolean
    LANGUAGE sql VOLATILE
    SET search_path = pg_catalog, pg_temp
RETURN (SELECT i.confirmed AND i.timeline = conveyor.timeline() AND i.epoch = version >> 48
               AND i.database = (SELECT d.oid FROM pg_database d WHERE d.datname = current_database())
          FROM conveyor.identity i);

CREATE FUNCTION conveyor.know_identity() RETURNS void
    LANGUAGE sql VOLATILE
    SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    INSERT INTO conveyor.identity (system_identifier, database, timeline, epoch, confirmed)
    SELECT c.system_identifier, d.oid, conveyor.timeline(), 1, true
      FROM pg_control_system() AS c, pg_database AS d
     WHERE d.datname = current_database()
    ON CONFLICT DO NOTHING;
END;

-- Every delivery begins a both-ways re-check: a document from a lost commit has no row in the log to remove it.
CREATE FUNCTION conveyor.begin_epoch(reason text) RETURNS void
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    delivery text;
BEGIN
    FOR delivery IN SELECT s.delivery FROM conveyor.delivery_state s ORDER BY s.delivery LOOP
        PERFORM conveyor.open_recheck(delivery, reason);
    END LOOP;
END
$$;

-- A delivery that a dump brought here: it has no state, and the triggers name captures of another database.
CREATE FUNCTION conveyor.restore_delivery(delivery text) RETURNS void
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM conveyor.start_state(delivery, false, NULL);
    BEGIN
        PERFORM conveyor.wake_feed(d.feed) FROM conveyor.delivery_definition d WHERE d.delivery = restore_delivery.delivery;
    EXCEPTION WHEN OTHERS THEN
        -- Without its captures nothing may be called delivered; the other deliveries go on.
        UPDATE conveyor.delivery_state s
           SET held_at = clock_timestamp(),
               held_reason = format('changes cannot be captured: %s; SELECT * FROM conveyor.audit() says how to mend it, '
                                    'then run SELECT conveyor.resume_delivery(%L)', SQLERRM, s.delivery)
         WHERE s.delivery = restore_delivery.delivery;
    END;
    PERFORM conveyor.open_recheck(delivery, 'restored from a dump');
END
$$;

-- Notices a new identity; also gives a state to deliveries that a dump brought here. Called by every agent_sync().
CREATE FUNCTION conveyor.check_identity() RETURNS void
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    present  conveyor.identity;
    change   text;
    delivery text;
BEGIN
    SELECT concat_ws(', ',
               CASE WHEN c.system_identifier <> i.system_identifier THEN format('cluster %s, was %s', c.system_identifier, i.system_identifier) END,
               CASE WHEN d.oid <> i.database THEN format('database %s, was %s', d.oid, i.database) END,
               CASE WHEN conveyor.timeline() <> i.timeline THEN format('timeline %s, was %s', conveyor.timeline(), i.timeline) END)
      INTO change
      FROM conveyor.identity i, pg_control_system() AS c, pg_database AS d
     WHERE d.datname = current_database();

    IF change <> '' THEN
        SELECT i.* INTO present FROM conveyor.identity i FOR UPDATE;
        UPDATE conveyor.identity i
           SET system_identifier = c.system_identifier, database = d.oid, timeline = conveyor.timeline(),
               -- Of two restores from one backup the later must not repeat the epoch of the earlier, whose documents would
               -- count as newer: it is on a higher timeline.
               epoch = greatest(i.epoch + 1, least(conveyor.timeline(), 32767)),
               confirmed = current_setting('conveyor.confirm_epoch', true) IS NOT DISTINCT FROM 'automatic', noticed_at = clock_timestamp()
          FROM pg_control_system() AS c, pg_database AS d
         WHERE d.datname = current_database()
           -- Another agent may have been first.
           AND (i.system_identifier, i.database, i.timeline) IS DISTINCT FROM (c.system_identifier, d.oid, conveyor.timeline())
        RETURNING i.* INTO present;
        IF FOUND THEN
            PERFORM conveyor.write_journal('new epoch', format('epoch %s', present.epoch), change);
            -- A restore or an upgrade of the cluster may have brought views in another form.
            PERFORM conveyor.feed_adapts(s.feed) FROM conveyor.feed_state s;
            PERFORM conveyor.begin_epoch(format('new epoch %s: %s', present.epoch, change));
            PERFORM conveyor.wake_feeds();
        END IF;
    END IF;

    FOR delivery IN SELECT d.delivery FROM conveyor.delivery_definition d
                     WHERE NOT EXISTS (SELECT FROM conveyor.delivery_state s WHERE s.delivery = d.delivery) ORDER BY d.delivery LOOP
        PERFORM conveyor.restore_delivery(delivery);
    END LOOP;
END
$$;

-- confirm_epoch: this database is the one to deliver from.
-- Tables touched: identity, delivery_state, request, journal_entry.
CREATE FUNCTION conveyor.confirm_epoch() RETURNS int
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    present conveyor.identity;
BEGIN
    PERFORM conveyor.check_identity();
    SELECT i.* INTO present FROM conveyor.identity i FOR UPDATE;
    IF FOUND AND NOT present.confirmed THEN
        UPDATE conveyor.identity SET confirmed = true;
        PERFORM conveyor.write_journal('confirm epoch', format('epoch %s', present.epoch));
        -- What happened between the notice and now was not delivered either way: read from here.
        PERFORM conveyor.begin_epoch(format('epoch %s was confirmed', present.epoch));
    END IF;
    RETURN present.epoch;
END
$$;
COMMENT ON FUNCTION conveyor.confirm_epoch() IS
    'after a promotion, restore or clone: deliver from this database from now on; every delivery begins a re-check; returns the epoch';
