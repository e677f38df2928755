-- 42: what people and agents do to a running delivery: pause, resume, hold, drop.

-- The delivery that fills or keeps this one's second index; NULL: it has none.
CREATE FUNCTION conveyor.beside(delivery text) RETURNS text
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
RETURN (SELECT d.delivery FROM conveyor.delivery_definition d WHERE d.rebuild_of = beside.delivery);

CREATE FUNCTION conveyor.pause_delivery(delivery text, reason text DEFAULT NULL) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    definition conveyor.delivery_definition := conveyor.find_delivery(delivery);
BEGIN
    PERFORM conveyor.check_operator(definition.owner, 'delivery', delivery);
    UPDATE conveyor.delivery_state s
       SET paused_at = coalesce(s.paused_at, clock_timestamp()), paused_reason = pause_delivery.reason, updated_at = clock_timestamp()
     WHERE s.delivery IN (pause_delivery.delivery, conveyor.beside(pause_delivery.delivery));
    PERFORM conveyor.write_journal('pause delivery', delivery, reason);
END
$$;
COMMENT ON FUNCTION conveyor.pause_delivery(text, text) IS 'stop sending within a second; changes are kept until resume_delivery()';

CREATE FUNCTION conveyor.resume_delivery(delivery text) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    definition conveyor.delivery_definition := conveyor.find_delivery(delivery);
    held       text;
BEGIN
    PERFORM conveyor.check_operator(definition.owner, 'delivery', delivery);
    -- Both of a rebuild, in the order in which everybody locks several.
    PERFORM FROM conveyor.delivery_state s WHERE s.delivery IN (resume_delivery.delivery, conveyor.beside(resume_delivery.delivery)) ORDER BY s.delivery FOR UPDATE;
    SELECT s.held_reason INTO held FROM conveyor.delivery_state s WHERE s.delivery = resume_delivery.delivery;
    IF held IS NOT NULL THEN
        PERFORM conveyor.check_feed_runs(definition.feed);
    END IF;
    UPDATE conveyor.delivery_state s
       SET paused_at = NULL, paused_reason = NULL, held_at = NULL, held_reason = NULL, throttle = NULL, updated_at = clock_timestamp(),
           -- What is to be sent from the beginning after a hold is there to fill a destination that went missing: nothing counts
           -- as delivered before that is done, not even in the moment until the agent has made it anew.
           index = CASE WHEN s.held_at IS NOT NULL AND EXISTS (SELECT FROM conveyor.request r
                                                                WHERE r.delivery = s.delivery AND r.state = 'open' AND r.kind = 'resync_all' AND r.ranges = 0)
                        THEN s.index || '{"filling": true}' ELSE s.index END
     WHERE s.delivery IN (resume_delivery.delivery, conveyor.beside(resume_delivery.delivery));
    PERFORM conveyor.write_journal('resume delivery', delivery, 'was held: ' || held);
END
$$;
COMMENT ON FUNCTION conveyor.resume_delivery(text) IS 'go on after pause_delivery(), or after the delivery held itself';

-- drop_delivery
--   remove_destination  also remove the index (or folder) that the delivery made; an agent does it, see destination_removal
-- The second index of a rebuild goes in any case: nobody reads it under the destination's name.
-- Tables touched: delivery_definition and all that hangs on it, destination_removal, journal_entry.
CREATE FUNCTION conveyor.drop_delivery(delivery text, remove_destination boolean DEFAULT false) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    definition conveyor.delivery_definition := conveyor.find_delivery(delivery);
    of_target  conveyor.target_definition := conveyor.find_target(definition.target);
    index      jsonb;
BEGIN
    PERFORM conveyor.check_not_beside(definition);
    PERFORM conveyor.check_owner(definition.owner, 'delivery', delivery);
    SELECT s.index INTO index FROM conveyor.delivery_state s WHERE s.delivery = drop_delivery.delivery FOR UPDATE;
    PERFORM conveyor.remove_beside(delivery, CASE WHEN NOT remove_destination THEN index ->> 'name' END);
    IF remove_destination AND index IS NOT NULL THEN
        INSERT INTO conveyor.destination_removal (delivery, kind, target, target_options, tags, destination, index, requested_by)
        VALUES (delivery, of_target.kind, of_target.target, of_target.options,
                ARRAY(SELECT jsonb_array_elements_text(definition.options -> 'tags')), definition.destination, index, conveyor.caller());
    END IF;
    DELETE FROM conveyor.delivery_definition d WHERE d.delivery = drop_delivery.delivery;
    PERFORM conveyor.write_journal('drop delivery', delivery,
        CASE WHEN remove_destination THEN format('with destination %s in target %s', definition.destination, definition.target) END);
END
$$;
COMMENT ON FUNCTION conveyor.drop_delivery(text, boolean) IS 'forget a delivery; its destination stays unless remove_destination is true';

-- A destination that an agent is to remove. It carries what it needs, since delivery and target may be gone by then.
CREATE TABLE conveyor.destination_removal (
    id              bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    delivery        text NOT NULL,
    kind            text NOT NULL,
    target          text NOT NULL,
    target_options  jsonb NOT NULL,
    tags            text[] NOT NULL,
    destination     text NOT NULL,
    index           jsonb NOT NULL,
    survivor        text,                  -- the delivery's other index, which the destination's name must lead to; NULL: no matter
    requested_by    text NOT NULL,
    requested_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
    agent           text,                  -- who tries, while its heart beats
    last_error      text
);
COMMENT ON TABLE conveyor.destination_removal IS 'destinations of dropped deliveries, and indices that a rebuild has replaced, which an agent still has to remove';

-- Holds a delivery for a reason that only a person can settle. The first reason stays: what fails afterwards follows from it.
CREATE FUNCTION conveyor.hold(delivery text, lease bigint, reason text) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM conveyor.lock_lease(delivery, lease);
    UPDATE conveyor.delivery_state s
       SET held_at = coalesce(s.held_at, clock_timestamp()), held_reason = coalesce(s.held_reason, reason, 'no reason given'),
           updated_at = clock_timestamp()
     WHERE s.delivery = hold.delivery;
    PERFORM conveyor.write_journal('hold delivery', delivery, reason, conveyor.lease_holder(delivery));
END
$$;
COMMENT ON FUNCTION conveyor.hold(text, bigint, text) IS 'agent: nothing of this delivery can succeed until a person acts';

CREATE FUNCTION conveyor.store_index(delivery text, lease bigint, index jsonb) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM conveyor.lock_lease(delivery, lease);
    UPDATE conveyor.delivery_state s
       SET index = store_index.index, updated_at = clock_timestamp(),
           mapped = CASE WHEN s.mapped IS NOT NULL AND s.index ->> 'uuid' IS NOT DISTINCT FROM store_index.index ->> 'uuid' THEN s.mapped
                         ELSE conveyor.feed_columns((conveyor.find_delivery(store_index.delivery)).feed) END
     WHERE s.delivery = store_index.delivery;
END
$$;
COMMENT ON FUNCTION conveyor.store_index(text, bigint, jsonb) IS 'agent: what it knows of the index it made';
