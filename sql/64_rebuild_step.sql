-- 64: the steps of a rebuild: what the database decides, what the agent of the second index is told to do, and the end.

-- Why the second index may not take the name over; NULL: it may.
CREATE FUNCTION conveyor.rebuild_objection(present conveyor.index_rebuild) RETURNS text
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
RETURN (SELECT format('index "%s" refuses %s documents that index "%s" has: SELECT * FROM conveyor.dead_letter WHERE delivery = %L lists them. '
                      'Mend them and run SELECT conveyor.resume_rebuild(%L), or do without them: SELECT conveyor.resume_rebuild(%5$L, accept_missing => true), '
                      'or give the rebuild up: SELECT conveyor.rollback_rebuild(%5$L)',
                      present.new_index, r.refused, present.old_index, present.beside, present.delivery)
          FROM (SELECT conveyor.rebuild_refused(present.delivery) AS refused) AS r
         WHERE r.refused > 0 AND NOT present.accept_missing);

-- rebuild_next: takes a rebuild as far as the database can by itself, and says what is to be done for the next step:
--   NULL: nothing at present; else {"to", "from"}: lead the destination's name from one index to the other, then rebuild_turned().
-- `delivery` is that of the second index. Tables touched: index_rebuild, request, journal_entry.
CREATE FUNCTION conveyor.rebuild_next(delivery text, lease bigint) RETURNS jsonb
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    state     conveyor.delivery_state := conveyor.lock_lease(delivery, lease);
    of_feed   text;
    present   conveyor.index_rebuild;
    main      conveyor.delivery_state;
    complete  CONSTANT boolean := conveyor.index_complete(state);
    objection text;
    before    text;
BEGIN
    SELECT d.feed INTO of_feed FROM conveyor.delivery_definition d WHERE d.delivery = rebuild_next.delivery;
    LOOP
        SELECT r.* INTO present FROM conveyor.index_rebuild r WHERE r.beside = rebuild_next.delivery FOR UPDATE;
        SELECT s.* INTO main FROM conveyor.delivery_state s WHERE s.delivery = present.delivery;
        before := present.state;
        objection := conveyor.rebuild_objection(present);
        CASE present.state
            WHEN 'asked' THEN
                IF state.index IS NOT NULL THEN
                    PERFORM conveyor.rebuild_enters(present.id, 'filling', NULL, conveyor.lease_holder(delivery));
                END IF;
            WHEN 'filling' THEN
                IF complete AND objection IS NOT NULL THEN
                    PERFORM conveyor.rebuild_enters(present.id, 'held', objection, conveyor.lease_holder(delivery));
                ELSIF complete THEN
                    UPDATE conveyor.index_rebuild r
                       SET request = conveyor.open_request(rebuild_next.delivery, 'compare', state.cursor, 'rebuild') WHERE r.id = present.id;
                    PERFORM conveyor.rebuild_enters(present.id, 'verifying', NULL, conveyor.lease_holder(delivery));
                END IF;
            WHEN 'verifying' THEN
                IF NOT complete THEN
                    PERFORM conveyor.rebuild_enters(present.id, 'filling', 'a re-check began', conveyor.lease_holder(delivery));
                ELSIF (SELECT r.state FROM conveyor.request r WHERE r.id = present.request) IS DISTINCT FROM 'finished' THEN
                    RETURN NULL;
                ELSIF objection IS NOT NULL THEN
                    PERFORM conveyor.rebuild_enters(present.id, 'held', objection, conveyor.lease_holder(delivery));
                ELSE
                    -- What readers have been told is delivered, they find in the new index too.
                    UPDATE conveyor.index_rebuild r SET upto = main.cursor WHERE r.id = present.id;
                    PERFORM conveyor.rebuild_enters(present.id, 'switching', NULL, conveyor.lease_holder(delivery));
                END IF;
            WHEN 'switching' THEN
                IF complete AND NOT conveyor.log_has_pending(state.cursor, conveyor.feed_captures(of_feed), present.upto) THEN
                    RETURN jsonb_build_object('to', present.new_index, 'from', present.old_index);
                END IF;
            WHEN 'rolling_back' THEN
                -- Before the switch was recorded the old index is the delivery's own, and always ready.
                IF main.index ->> 'name' = present.old_index
                   OR complete AND NOT conveyor.log_has_pending(state.cursor, conveyor.feed_captures(of_feed), present.upto) THEN
                    RETURN jsonb_build_object('to', present.old_index, 'from', present.new_index);
                END IF;
            ELSE
                RETURN NULL;
        END CASE;
        SELECT r.state INTO present.state FROM conveyor.index_rebuild r WHERE r.id = present.id;
        EXIT WHEN present.state = before;
    END LOOP;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION conveyor.rebuild_next(text, bigint) IS
    'agent: the next step of a rebuild; NULL: nothing to do at present, else the indices between which the destination''s name is to go over';

-- Exchanges the names of a delivery and its second index. What belongs to an index goes with it; counters stay with the name.
CREATE FUNCTION conveyor.exchange_deliveries(delivery text, beside text) RETURNS void
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    passing CONSTANT text := gen_random_uuid()::text;
    own     conveyor.delivery_state;
    other   conveyor.delivery_state;
BEGIN
    SELECT s.* INTO own FROM conveyor.delivery_state s WHERE s.delivery = exchange_deliveries.delivery;
    SELECT s.* INTO other FROM conveyor.delivery_state s WHERE s.delivery = exchange_deliveries.beside;
    UPDATE conveyor.delivery_definition d SET delivery = passing, rebuild_of = exchange_deliveries.beside WHERE d.delivery = exchange_deliveries.delivery;
    UPDATE conveyor.delivery_definition d SET delivery = exchange_deliveries.delivery, rebuild_of = NULL WHERE d.delivery = exchange_deliveries.beside;
    UPDATE conveyor.delivery_definition d SET delivery = exchange_deliveries.beside, rebuild_of = exchange_deliveries.delivery WHERE d.delivery = passing;
    UPDATE conveyor.delivery_state s
       SET documents_sent = o.documents_sent, documents_deleted = o.documents_deleted, superseded = o.superseded, retries = o.retries,
           started_at = o.started_at, paused_at = o.paused_at, paused_reason = o.paused_reason, throttle = NULL, last_error = NULL,
           updated_at = clock_timestamp()
      FROM (VALUES (exchange_deliveries.delivery, own), (exchange_deliveries.beside, other)) AS kept(delivery, state)
     CROSS JOIN LATERAL (SELECT (kept.state).*) AS o
     WHERE s.delivery = kept.delivery;
END
$$;

-- rebuild_turned: the destination's name leads to the index that rebuild_next() said.
-- Both deliveries get new leases: whoever works on one of them begins anew with the index that it has now.
-- Tables touched: index_rebuild, delivery_definition and all that hangs on it, sender, journal_entry.
CREATE FUNCTION conveyor.rebuild_turned(delivery text, lease bigint) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    holder  text;
    present conveyor.index_rebuild;
    target  text;
    newest  bigint;
BEGIN
    PERFORM FROM conveyor.delivery_state s
      WHERE s.delivery IN (rebuild_turned.delivery, (SELECT r.delivery FROM conveyor.index_rebuild r WHERE r.beside = rebuild_turned.delivery))
      ORDER BY s.delivery FOR UPDATE;
    PERFORM conveyor.lock_lease(delivery, lease);
    holder := conveyor.lease_holder(delivery);
    SELECT r.* INTO present FROM conveyor.index_rebuild r WHERE r.beside = rebuild_turned.delivery FOR UPDATE;
    IF present.state IS NULL OR present.state NOT IN ('switching', 'rolling_back') THEN
        RAISE EXCEPTION 'the rebuild of delivery "%" is not switching', present.delivery
            USING ERRCODE = 'object_not_in_prerequisite_state', DETAIL = format('It is %s.', present.state), HINT = 'Call conveyor.rebuild_next() first.';
    END IF;
    -- Whatever is removed from here on must not come back by a crash.
    PERFORM set_config('synchronous_commit', 'on', true) WHERE current_setting('synchronous_commit') = 'off';
    PERFORM conveyor.new_lease(present.delivery, NULL);
    PERFORM conveyor.new_lease(present.beside, NULL);
    -- A lease that an agent still believes in must not be one that the name gets again with the other index.
    SELECT max(s.lease) INTO newest FROM conveyor.delivery_state s WHERE s.delivery IN (present.delivery, present.beside);
    UPDATE conveyor.delivery_state s SET lease = newest WHERE s.delivery IN (present.delivery, present.beside);
    target := CASE present.state WHEN 'switching' THEN present.new_index ELSE present.old_index END;
    IF (SELECT s.index ->> 'name' FROM conveyor.delivery_state s WHERE s.delivery = present.delivery) <> target THEN
        PERFORM conveyor.exchange_deliveries(present.delivery, present.beside);
    END IF;
    PERFORM conveyor.rebuild_enters(present.id, CASE present.state WHEN 'switching' THEN 'kept' ELSE 'rolled_back' END, NULL, holder);
END
$$;
COMMENT ON FUNCTION conveyor.rebuild_turned(text, bigint) IS 'agent: the destination''s name leads to the index that rebuild_next() named';

-- Lets go of indices that have been kept for long enough. One that readers have just been led away from may have searches under way.
CREATE FUNCTION conveyor.drop_replaced_indices() RETURNS void
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    present conveyor.index_rebuild;
BEGIN
    FOR present IN
        SELECT r.* FROM conveyor.index_rebuild r
         WHERE r.state IN ('kept', 'rolled_back')
           AND r.entered_at <= clock_timestamp() - CASE r.state WHEN 'kept' THEN conveyor.rebuild_keep(r.delivery)
                                                                 ELSE least(conveyor.rebuild_keep(r.delivery), interval '1 min') END
           FOR UPDATE SKIP LOCKED
    LOOP
        PERFORM conveyor.end_rebuild(present, 'dropped', CASE present.state WHEN 'kept' THEN 'kept long enough' ELSE 'given up' END);
    END LOOP;
END
$$;

-- The request that a rebuild's progress is that of.
CREATE FUNCTION conveyor.rebuild_request(beside text) RETURNS conveyor.request
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT r FROM conveyor.request r
     WHERE r.delivery = rebuild_request.beside AND r.kind IN ('backfill', 'recheck', 'compare') AND r.state <> 'cancelled'
     ORDER BY r.id DESC
     LIMIT 1;
END;

-- For delivery_status: the state of the rebuild that a delivery is in, and what stands in its way.
CREATE FUNCTION conveyor.rebuild_shown(delivery text) RETURNS text
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
RETURN (SELECT concat_ws(': ', r.state, coalesce(r.reason, s.held_reason))
          FROM conveyor.index_rebuild r JOIN conveyor.delivery_state s ON s.delivery = r.beside
         WHERE r.delivery = rebuild_shown.delivery);
