-- 40: deliveries: one feed to one target. Definition (dumped) and state (not dumped) are separate tables.

CREATE TABLE conveyor.delivery_definition (
    delivery     text PRIMARY KEY,
    feed         text NOT NULL REFERENCES conveyor.feed_definition,
    target       text NOT NULL REFERENCES conveyor.target_definition,
    destination  text NOT NULL CHECK (octet_length(destination) BETWEEN 1 AND 255),
    options      jsonb NOT NULL CHECK (jsonb_typeof(options) = 'object'),
    owner        regrole NOT NULL,
    created_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    -- The second index of this delivery, while it is rebuilt (63): filled as a delivery of its own, under a name made from the other's.
    rebuild_of   text UNIQUE REFERENCES conveyor.delivery_definition ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED,
    CHECK (rebuild_of IS NOT NULL OR conveyor.is_name(delivery)),
    CHECK (rebuild_of <> delivery)
);
-- Two writers with different documents under one id would undo each other for ever.
CREATE UNIQUE INDEX delivery_definition_destination ON conveyor.delivery_definition (target, destination) WHERE rebuild_of IS NULL;
CREATE INDEX delivery_definition_feed ON conveyor.delivery_definition (feed);
COMMENT ON TABLE conveyor.delivery_definition IS 'which feed goes to which target; see create_delivery()';
SELECT pg_catalog.pg_extension_config_dump('conveyor.delivery_definition', 'WHERE rebuild_of IS NULL');

-- One row is updated in place (HOT) hundreds of times a second: room in the page, and no index on what moves.
CREATE TABLE conveyor.delivery_state (
    delivery              text PRIMARY KEY REFERENCES conveyor.delivery_definition ON DELETE CASCADE ON UPDATE CASCADE,
    cursor                pg_snapshot NOT NULL,                  -- everything visible here is acknowledged
    lease                 bigint NOT NULL DEFAULT 0 CHECK (lease >= 0),
    agent                 text,                                  -- holder of the lease, while its heart beats
    advanced_at           timestamptz NOT NULL DEFAULT clock_timestamp(),  -- when the cursor moved last
    oldest_version        bigint,                                -- no open request of this lease is older; NULL: nothing read yet
    paused_at             timestamptz,
    paused_reason         text,
    held_at               timestamptz,
    held_reason           text,
    stale_at              timestamptz,
    stale_reason          text,
    index                 jsonb,
    mapped                jsonb,                                 -- the view's columns when the index was made
    documents_sent        bigint NOT NULL DEFAULT 0,
    documents_deleted     bigint NOT NULL DEFAULT 0,
    superseded            bigint NOT NULL DEFAULT 0,
    retries               bigint NOT NULL DEFAULT 0,
    documents_per_second  real,
    throttle              text,
    last_error            text,
    updated_at            timestamptz NOT NULL DEFAULT clock_timestamp(),
    started_at            timestamptz NOT NULL DEFAULT clock_timestamp(),
    CHECK ((held_at IS NULL) = (held_reason IS NULL)),
    CHECK ((stale_at IS NULL) = (stale_reason IS NULL)),
    CHECK (paused_at IS NOT NULL OR paused_reason IS NULL)
) WITH (fillfactor = 20, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 500);
COMMENT ON TABLE conveyor.delivery_state IS 'where each delivery stands';

CREATE FUNCTION conveyor.find_delivery(delivery text) RETURNS conveyor.delivery_definition
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    definition conveyor.delivery_definition;
BEGIN
    SELECT d.* INTO definition FROM conveyor.delivery_definition d WHERE d.delivery = find_delivery.delivery;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'delivery "%" does not exist', delivery
            USING ERRCODE = 'undefined_object',
                  HINT = 'SELECT delivery FROM conveyor.delivery_status lists the deliveries; conveyor.create_delivery() makes one.';
    END IF;
    RETURN definition;
END
$$;

-- What is asked of a delivery as a whole is not asked of its second index.
CREATE FUNCTION conveyor.check_not_beside(definition conveyor.delivery_definition) RETURNS void
    LANGUAGE plpgsql IMMUTABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF definition.rebuild_of IS NOT NULL THEN
        RAISE EXCEPTION '"%" is the second index of delivery "%"', definition.delivery, definition.rebuild_of
            USING ERRCODE = 'object_not_in_prerequisite_state',
                  HINT = format('Name the delivery itself, %L; SELECT conveyor.rollback_rebuild(%L) gives the second index up.', definition.rebuild_of, definition.rebuild_of);
    END IF;
END
$$;

CREATE FUNCTION conveyor.check_delivery_options(options jsonb) RETURNS jsonb
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    part text;
BEGIN
    options := conveyor.check_options('delivery', NULL, options);
    FOR part IN SELECT jsonb_object_keys(options -> 'index') LOOP
        IF part NOT IN ('settings', 'mappings') OR jsonb_typeof(options -> 'index' -> part) <> 'object' THEN
            RAISE EXCEPTION 'invalid value for option "index": "%" is not an object "settings" or "mappings"', part
                USING ERRCODE = 'invalid_parameter_value',
                      HINT = 'Give {"index": {"settings": {…}, "mappings": {…}}}; either may be left out.';
        END IF;
    END LOOP;
    RETURN options;
END
$$;

-- State for a definition that has none: a new delivery, or one that a dump brought here.
CREATE FUNCTION conveyor.start_state(delivery text, backfill boolean, reason text) RETURNS void
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    start pg_snapshot := conveyor.latest_snapshot();
BEGIN
    INSERT INTO conveyor.delivery_state (delivery, cursor) VALUES (delivery, start);
    IF backfill THEN
        PERFORM conveyor.open_request(delivery, 'backfill', start, reason);
    END IF;
END
$$;

-- create_delivery
--   destination  name in the target (the alias; the folder); default: the feed's name     options  see option_definition
-- Tables touched: delivery_definition, delivery_state, request, journal_entry.
CREATE FUNCTION conveyor.create_delivery(delivery text, feed text, target text, destination text DEFAULT NULL, options jsonb DEFAULT '{}')
    RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    of_feed   conveyor.feed_definition := conveyor.find_feed(feed);
    of_target conveyor.target_definition := conveyor.find_target(target);
    present   conveyor.delivery_definition;
    taken     text;
BEGIN
    PERFORM conveyor.check_name('delivery', delivery);
    destination := coalesce(destination, feed);
    IF destination = '' OR octet_length(destination) > 255 OR destination ~ '[[:cntrl:]/\\]' OR destination IN ('.', '..') THEN
        RAISE EXCEPTION 'invalid destination "%"', left(destination, 300)
            USING ERRCODE = 'invalid_name', HINT = 'Give a name of 1 to 255 bytes without slashes and control characters.';
    END IF;
    -- What the cluster would refuse later on. The indices behind the alias have longer names.
    IF of_target.kind = 'elasticsearch'
       AND (destination <> lower(destination) OR destination ~ '^[-_+]|[*?"<>|, #:]' OR octet_length(destination) > 230) THEN
        RAISE EXCEPTION 'invalid destination "%" in target "%"', destination, target
            USING ERRCODE = 'invalid_name',
                  DETAIL = 'Names of indices are in lower case, do not begin with "-", "_" or "+", have at most 230 bytes and none of * ? " < > | , # : and blanks.',
                  HINT = format('Run SELECT conveyor.create_delivery(%L, %L, %L, destination => ''…'').', delivery, feed, target);
    END IF;
    PERFORM conveyor.check_owner(of_feed.owner, 'feed', feed);
    PERFORM conveyor.check_owner(of_target.owner, 'target', target);
    options := conveyor.check_delivery_options(options);

    SELECT d.* INTO present FROM conveyor.delivery_definition d WHERE d.delivery = create_delivery.delivery;
    IF FOUND THEN
        PERFORM conveyor.check_owner(present.owner, 'delivery', delivery);
        PERFORM conveyor.check_not_beside(present);
        PERFORM conveyor.check_same('delivery', delivery,
            jsonb_build_object('feed', present.feed, 'target', present.target, 'destination', present.destination, 'options', present.options),
            jsonb_build_object('feed', feed, 'target', target, 'destination', destination, 'options', options),
            format('Run SELECT conveyor.alter_delivery(%1$L, …) to change its options, SELECT conveyor.drop_delivery(%1$L) before making it anew, '
                   'or choose another name.', delivery));
        RETURN;
    END IF;

    SELECT d.delivery INTO taken FROM conveyor.delivery_definition d
     WHERE d.target = create_delivery.target AND d.destination = create_delivery.destination AND d.rebuild_of IS NULL;
    IF FOUND THEN
        RAISE EXCEPTION 'destination "%" of target "%" is taken', destination, target
            USING ERRCODE = 'duplicate_object', DETAIL = format('Delivery "%s" sends there.', taken),
                  HINT = 'Give another destination: the fourth parameter of conveyor.create_delivery().';
    END IF;

    INSERT INTO conveyor.delivery_definition (delivery, feed, target, destination, options, owner)
    VALUES (delivery, feed, target, destination, options, conveyor.caller()::regrole);
    PERFORM conveyor.know_identity();
    PERFORM conveyor.wake_feed(feed);
    PERFORM conveyor.start_state(delivery, coalesce((options ->> 'backfill')::boolean, true), 'created');
    PERFORM conveyor.feed_trouble(s.feed, s.trouble, s.remedy) FROM conveyor.feed_state s WHERE s.feed = create_delivery.feed AND s.trouble IS NOT NULL;
    PERFORM conveyor.write_journal('create delivery', delivery, format('feed %s to %s in target %s %s', feed, destination, target, options));
END
$$;
COMMENT ON FUNCTION conveyor.create_delivery(text, text, text, text, jsonb) IS
    'send a feed''s documents to a target: all of them, then every change; the same definition again does nothing';

CREATE FUNCTION conveyor.alter_delivery(delivery text, options jsonb) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    present conveyor.delivery_definition := conveyor.find_delivery(delivery);
    merged  jsonb;
BEGIN
    PERFORM conveyor.check_not_beside(present);
    -- Operators throttle; everything else is the owner's.
    IF options IS NOT NULL AND jsonb_typeof(options) = 'object' AND options - ARRAY['rate', 'job_lists', 'in_flight', 'batch_bytes'] = '{}' THEN
        PERFORM conveyor.check_operator(present.owner, 'delivery', delivery);
    ELSE
        PERFORM conveyor.check_owner(present.owner, 'delivery', delivery);
    END IF;
    SELECT d.* INTO present FROM conveyor.delivery_definition d WHERE d.delivery = alter_delivery.delivery FOR UPDATE;
    merged := conveyor.check_delivery_options(present.options || options);
    UPDATE conveyor.delivery_definition d SET options = merged WHERE alter_delivery.delivery IN (d.delivery, d.rebuild_of);
    PERFORM conveyor.write_journal('alter delivery', delivery, conveyor.difference(present.options, merged));
END
$$;
COMMENT ON FUNCTION conveyor.alter_delivery(text, jsonb) IS
    'merge options into a delivery''s; null brings an option back to its default; takes effect within a second';
