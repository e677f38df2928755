-- 63: rebuild: another index beside the one that readers have, put in its place once it is complete.
--
-- The second index belongs to a delivery of its own, of the same feed to the same destination (delivery_definition.rebuild_of),
-- with a cursor, a lease, a ledger of deletes and dead letters of its own: whether it is filled, slow or refuses documents, the
-- other one goes on. The destination's name, an alias, leads to the index of the delivery proper. When the other index has taken
-- the name over, the two deliveries exchange theirs, in one transaction: everything that belongs to an index goes with it.
-- Both stay live, before and after, so that there is a way back which loses nothing.

CREATE TABLE conveyor.rebuild_transition (
    from_state  text NOT NULL,
    to_state    text NOT NULL,
    occasion    text NOT NULL,
    PRIMARY KEY (from_state, to_state)
);
COMMENT ON TABLE conveyor.rebuild_transition IS 'the changes of state that a rebuild can make';
INSERT INTO conveyor.rebuild_transition (from_state, to_state, occasion) VALUES
('asked',        'filling',      'an agent has made the new index'),
('asked',        'cancelled',    'rollback_rebuild()'),
('filling',      'verifying',    'every document has been sent'),
('filling',      'held',         'the new index refuses documents that the old one has'),
('filling',      'cancelled',    'rollback_rebuild()'),
('verifying',    'filling',      'the new index is in doubt again: a re-check began'),
('verifying',    'held',         'the new index refuses documents that the old one has'),
('verifying',    'switching',    'view and new index have the same keys'),
('verifying',    'cancelled',    'rollback_rebuild()'),
('held',         'filling',      'resume_rebuild()'),
('held',         'cancelled',    'rollback_rebuild()'),
('switching',    'kept',         'the name leads to the new index'),
('switching',    'rolling_back', 'rollback_rebuild()'),
('kept',         'rolling_back', 'rollback_rebuild()'),
('kept',         'dropped',      'the old index has been kept for rebuild_keep'),
('rolling_back', 'rolled_back',  'the name leads to the old index'),
('rolled_back',  'dropped',      'no reader is left in the new index');

-- A rebuild has a second index from the moment it is asked for until it is dropped or cancelled.
CREATE TABLE conveyor.index_rebuild (
    id              bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    delivery        text NOT NULL REFERENCES conveyor.delivery_definition ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED,
    beside          text UNIQUE REFERENCES conveyor.delivery_definition DEFERRABLE INITIALLY DEFERRED,
    state           text NOT NULL DEFAULT 'asked'
                    CHECK (state IN ('asked', 'filling', 'verifying', 'held', 'switching', 'kept', 'rolling_back', 'rolled_back', 'dropped', 'cancelled')),
    reason          text,                                        -- why it is held
    old_index       text NOT NULL,
    new_index       text NOT NULL,
    accept_missing  boolean NOT NULL DEFAULT false,              -- documents that the other index refuses need not hold it
    request         bigint,                                      -- the `compare` of the last step
    upto            pg_snapshot,                                 -- the index that takes the name over must have come so far
    requested_by    text NOT NULL,
    asked_at        timestamptz NOT NULL DEFAULT clock_timestamp(),
    entered_at      timestamptz NOT NULL DEFAULT clock_timestamp(),   -- its present state
    switched_at     timestamptz,
    finished_at     timestamptz,
    CHECK ((beside IS NULL) = (state IN ('dropped', 'cancelled'))),
    CHECK ((finished_at IS NULL) = (beside IS NOT NULL)),
    CHECK ((reason IS NOT NULL) = (state = 'held')),
    CHECK (upto IS NOT NULL OR state NOT IN ('switching', 'rolling_back')),
    CHECK (switched_at IS NOT NULL OR state NOT IN ('kept', 'dropped')),
    CHECK (old_index <> new_index)
);
CREATE UNIQUE INDEX index_rebuild_open ON conveyor.index_rebuild (delivery) WHERE beside IS NOT NULL;
CREATE INDEX index_rebuild_delivery ON conveyor.index_rebuild (delivery, id);
COMMENT ON TABLE conveyor.index_rebuild IS 'rebuilds of indices; read them as the view rebuild_status';

CREATE FUNCTION conveyor.check_rebuild_transition() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF NEW.state <> OLD.state AND NOT EXISTS (SELECT FROM conveyor.rebuild_transition t WHERE t.from_state = OLD.state AND t.to_state = NEW.state) THEN
        RAISE EXCEPTION 'a rebuild that is % cannot become %', OLD.state, NEW.state
            USING ERRCODE = 'object_not_in_prerequisite_state',
                  HINT = 'SELECT * FROM conveyor.rebuild_transition lists what is possible.';
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER check_transition BEFORE UPDATE OF state ON conveyor.index_rebuild
    FOR EACH ROW EXECUTE FUNCTION conveyor.check_rebuild_transition();

-- The rebuild that a delivery is in, locked; its id is NULL where there is none.
CREATE FUNCTION conveyor.open_rebuild(delivery text) RETURNS conveyor.index_rebuild
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    present conveyor.index_rebuild;
BEGIN
    SELECT r.* INTO present FROM conveyor.index_rebuild r WHERE r.delivery = open_rebuild.delivery AND r.beside IS NOT NULL FOR UPDATE;
    RETURN present;
END
$$;

-- The only function that changes a rebuild's state. `actor` NULL: the caller.
CREATE FUNCTION conveyor.rebuild_enters(rebuild bigint, state text, reason text DEFAULT NULL, actor text DEFAULT NULL) RETURNS void
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    over    CONSTANT boolean := state IN ('dropped', 'cancelled');
    entered conveyor.index_rebuild;
BEGIN
    UPDATE conveyor.index_rebuild r
       SET state = rebuild_enters.state, entered_at = clock_timestamp(),
           reason = CASE WHEN rebuild_enters.state = 'held' THEN rebuild_enters.reason END,
           switched_at = CASE WHEN rebuild_enters.state = 'kept' THEN clock_timestamp()
                              WHEN rebuild_enters.state = 'rolled_back' THEN coalesce(r.switched_at, clock_timestamp()) ELSE r.switched_at END,
           beside = CASE WHEN NOT over THEN r.beside END,
           finished_at = CASE WHEN over THEN clock_timestamp() END
     WHERE r.id = rebuild_enters.rebuild
    RETURNING r.* INTO entered;
    PERFORM conveyor.write_journal('rebuild ' || replace(entered.state, '_', ' '), entered.delivery,
        concat_ws(': ', format('%s and %s', entered.old_index, entered.new_index), rebuild_enters.reason), actor);
END
$$;

-- The name for the next index: one more than any that this delivery had.
CREATE FUNCTION conveyor.next_index(delivery text, present text) RETURNS text
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
RETURN (SELECT regexp_replace(present, '-[0-9]{6,}$', '') || '-' || lpad(next.number::text, greatest(6, length(next.number::text)), '0')
          FROM (SELECT 1 + coalesce(max(substring(u.name FROM '-([0-9]{6,})$')::numeric), 0) AS number
                  FROM (SELECT present UNION ALL
                        SELECT unnest(ARRAY[r.old_index, r.new_index]) FROM conveyor.index_rebuild r WHERE r.delivery = next_index.delivery) AS u(name)) AS next);

-- Has the index every document, up to its delivery's cursor?
CREATE FUNCTION conveyor.index_complete(state conveyor.delivery_state) RETURNS boolean
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
RETURN state.index IS NOT NULL AND NOT conveyor.index_filling(state.index) AND state.stale_at IS NULL
       AND NOT EXISTS (SELECT FROM conveyor.request r
                        WHERE r.delivery = state.delivery AND r.kind IN ('backfill', 'recheck', 'resync_all') AND r.state IN ('open', 'paused'));

-- Documents that the second index refuses and the delivery's own does not.
CREATE FUNCTION conveyor.rebuild_refused(delivery text) RETURNS bigint
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
RETURN (SELECT count(*) FROM conveyor.dead_letter_store b
         WHERE b.delivery = conveyor.beside(rebuild_refused.delivery)
           AND NOT EXISTS (SELECT FROM conveyor.dead_letter_store o
                            WHERE o.delivery = rebuild_refused.delivery AND conveyor.key_digest(o.key) = conveyor.key_digest(b.key)));

CREATE FUNCTION conveyor.rebuild_keep(delivery text) RETURNS interval
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
RETURN (SELECT conveyor.delivery_option(d.options, 'rebuild_keep')::float8 * interval '1 ms'
          FROM conveyor.delivery_definition d WHERE d.delivery = rebuild_keep.delivery);

-- The deliveries whose documents may be what readers see under the destination's name.
CREATE FUNCTION conveyor.readable(delivery text) RETURNS text[]
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
RETURN ARRAY[delivery] || ARRAY(SELECT r.beside FROM conveyor.index_rebuild r
                                 WHERE r.delivery = readable.delivery AND r.beside IS NOT NULL AND r.state IN ('switching', 'rolling_back'));

-- Has an agent remove the delivery's second index, and forgets the delivery that belonged to it.
--   survivor  the index that the destination's name must lead to before; NULL: that goes as well
CREATE FUNCTION conveyor.remove_beside(delivery text, survivor text) RETURNS void
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    present   conveyor.index_rebuild := conveyor.open_rebuild(delivery);
    of_target conveyor.target_definition;
    gone      conveyor.delivery_definition;
    state     conveyor.delivery_state;
BEGIN
    IF present.id IS NULL THEN
        RETURN;
    END IF;
    SELECT d.* INTO gone FROM conveyor.delivery_definition d WHERE d.delivery = present.beside FOR UPDATE;
    SELECT s.* INTO state FROM conveyor.delivery_state s WHERE s.delivery = present.beside FOR UPDATE;
    of_target := conveyor.find_target(gone.target);
    -- Also where no index is known yet: an agent may be making it.
    INSERT INTO conveyor.destination_removal (delivery, kind, target, target_options, tags, destination, index, survivor, requested_by)
    VALUES (delivery, of_target.kind, of_target.target, of_target.options, conveyor.delivery_tags(gone.options), gone.destination,
            coalesce(state.index, jsonb_build_object('name', present.new_index)), survivor, conveyor.caller());
    DELETE FROM conveyor.delivery_definition d WHERE d.delivery = present.beside;
END
$$;

-- The end of a rebuild: its second index goes. That must not be undone by a crash once an agent has begun.
CREATE FUNCTION conveyor.end_rebuild(present conveyor.index_rebuild, state text, reason text) RETURNS void
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM set_config('synchronous_commit', 'on', true) WHERE current_setting('synchronous_commit') = 'off';
    PERFORM conveyor.remove_beside(present.delivery, (SELECT s.index ->> 'name' FROM conveyor.delivery_state s WHERE s.delivery = present.delivery));
    PERFORM conveyor.rebuild_enters(present.id, state, reason);
END
$$;

-- rebuild: fills a new index, made with the options as they are now, and then leads the destination's name to it.
-- Returns the rebuild's id. Tables touched: index_rebuild, delivery_definition, delivery_state, request, destination_removal, journal_entry.
CREATE FUNCTION conveyor.rebuild(delivery text) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    definition conveyor.delivery_definition := conveyor.find_delivery(delivery);
    kind       text := (conveyor.find_target(definition.target)).kind;
    name       CONSTANT text := delivery || ' (rebuild)';
    state      conveyor.delivery_state;
    present    conveyor.index_rebuild;
    made       conveyor.index_rebuild;
BEGIN
    PERFORM conveyor.check_not_beside(definition);
    PERFORM conveyor.check_operator(definition.owner, 'delivery', delivery);
    IF kind <> 'elasticsearch' THEN
        RAISE EXCEPTION 'cannot rebuild delivery "%": its target is of kind %', delivery, kind
            USING ERRCODE = 'feature_not_supported',
                  DETAIL = 'A rebuild fills a second index and then leads an alias to it; this kind of target has neither.',
                  HINT = format('Run SELECT conveyor.resync_all(%L) to send every document again.', delivery);
    END IF;
    SELECT d.* INTO definition FROM conveyor.delivery_definition d WHERE d.delivery = rebuild.delivery FOR UPDATE;
    SELECT s.* INTO state FROM conveyor.delivery_state s WHERE s.delivery = rebuild.delivery FOR UPDATE;
    IF state.index ->> 'name' IS NULL THEN
        RAISE EXCEPTION 'cannot rebuild delivery "%": it has no index yet', delivery
            USING ERRCODE = 'object_not_in_prerequisite_state',
                  DETAIL = 'An agent will make it, with the options that the delivery has then.',
                  HINT = 'Start one with "conveyor agent", or see the column "throttle" of conveyor.delivery_status.';
    END IF;
    present := conveyor.open_rebuild(delivery);
    IF present.state IN ('kept', 'rolled_back') THEN
        PERFORM conveyor.end_rebuild(present, 'dropped', 'another rebuild was asked for');
    ELSIF present.id IS NOT NULL THEN
        RAISE EXCEPTION 'delivery "%" is being rebuilt already', delivery
            USING ERRCODE = 'object_not_in_prerequisite_state',
                  DETAIL = format('Its rebuild is %s, from index "%s" to "%s".', present.state, present.old_index, present.new_index),
                  HINT = format('See conveyor.rebuild_status, or run SELECT conveyor.rollback_rebuild(%L) to give it up.', delivery);
    END IF;
    IF EXISTS (SELECT FROM conveyor.delivery_definition d WHERE d.delivery = name) THEN
        RAISE EXCEPTION 'cannot rebuild delivery "%": the name "%" is taken', delivery, name
            USING ERRCODE = 'duplicate_object', DETAIL = 'The second index goes by it.', HINT = 'Drop that delivery, or make it anew by another name.';
    END IF;

    INSERT INTO conveyor.delivery_definition (delivery, feed, target, destination, options, owner, rebuild_of)
    VALUES (name, definition.feed, definition.target, definition.destination, definition.options, definition.owner, delivery);
    PERFORM conveyor.start_state(name, true, 'rebuild');
    INSERT INTO conveyor.index_rebuild (delivery, beside, old_index, new_index, requested_by)
    VALUES (delivery, name, state.index ->> 'name', conveyor.next_index(delivery, state.index ->> 'name'), conveyor.caller())
    RETURNING * INTO made;
    -- Leases of this name that an agent may still believe in are of other rebuilds, and smaller.
    UPDATE conveyor.delivery_state s SET lease = made.id << 20, paused_at = state.paused_at, paused_reason = state.paused_reason WHERE s.delivery = name;
    PERFORM conveyor.write_journal('rebuild', delivery, format('%s beside %s', made.new_index, made.old_index));
    RETURN made.id;
END
$$;
COMMENT ON FUNCTION conveyor.rebuild(text) IS
    'fill a new index beside the present one, compare it with the view, and lead the alias to it; returns the rebuild''s id';

-- resume_rebuild: goes on after a rebuild, or its second index, held itself.
--   accept_missing  also without the documents that the new index refuses
-- Tables touched: index_rebuild, delivery_state, journal_entry.
CREATE FUNCTION conveyor.resume_rebuild(delivery text, accept_missing boolean DEFAULT false) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    definition conveyor.delivery_definition := conveyor.find_delivery(delivery);
    present    conveyor.index_rebuild;
BEGIN
    PERFORM conveyor.check_not_beside(definition);
    PERFORM conveyor.check_operator(definition.owner, 'delivery', delivery);
    present := conveyor.open_rebuild(delivery);
    IF present.id IS NULL THEN
        PERFORM conveyor.no_rebuild(delivery);
    END IF;
    IF accept_missing THEN
        UPDATE conveyor.index_rebuild r SET accept_missing = true WHERE r.id = present.id;
        PERFORM conveyor.write_journal('accept missing documents', delivery, format('%s refused', conveyor.rebuild_refused(delivery)));
    END IF;
    IF EXISTS (SELECT FROM conveyor.delivery_state s WHERE s.delivery = present.beside AND s.held_at IS NOT NULL) THEN
        PERFORM conveyor.resume_delivery(present.beside);
    END IF;
    IF present.state = 'held' THEN
        PERFORM conveyor.rebuild_enters(present.id, 'filling', 'resumed');
    END IF;
END
$$;
COMMENT ON FUNCTION conveyor.resume_rebuild(text, boolean) IS
    'go on with a rebuild that holds itself; with accept_missing also without the documents that the new index refuses';

CREATE FUNCTION conveyor.no_rebuild(delivery text) RETURNS void
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RAISE EXCEPTION 'delivery "%" is in no rebuild', delivery
        USING ERRCODE = 'object_not_in_prerequisite_state',
              DETAIL = coalesce((SELECT format('The last one is %s since %s.', r.state, r.finished_at) FROM conveyor.index_rebuild r
                                  WHERE r.delivery = no_rebuild.delivery ORDER BY r.id DESC LIMIT 1), 'It never was in one.'),
              HINT = format('Run SELECT conveyor.rebuild(%L) to begin one.', delivery);
END
$$;

-- rollback_rebuild: back to the old index. Before the switch the rebuild is given up; after it the alias goes back, as long as
--   the old index is kept, and nothing is lost: it has had every change.
--   accept_missing  also without the documents that the old index refuses
-- Tables touched: index_rebuild, destination_removal, journal_entry.
CREATE FUNCTION conveyor.rollback_rebuild(delivery text, accept_missing boolean DEFAULT false) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    definition conveyor.delivery_definition := conveyor.find_delivery(delivery);
    present    conveyor.index_rebuild;
    refused    bigint;
BEGIN
    PERFORM conveyor.check_not_beside(definition);
    PERFORM conveyor.check_operator(definition.owner, 'delivery', delivery);
    present := conveyor.open_rebuild(delivery);
    CASE
        WHEN present.state IN ('asked', 'filling', 'verifying', 'held') THEN
            PERFORM conveyor.end_rebuild(present, 'cancelled', 'rollback_rebuild()');
        WHEN present.state IN ('switching', 'kept') THEN
            refused := CASE present.state WHEN 'kept' THEN conveyor.rebuild_refused(delivery) ELSE 0 END;
            IF refused > 0 AND NOT accept_missing THEN
                RAISE EXCEPTION 'index "%" lacks % documents that index "%" has', present.old_index, refused, present.new_index
                    USING ERRCODE = 'object_not_in_prerequisite_state',
                          DETAIL = 'The old index has refused them since.',
                          HINT = format('SELECT * FROM conveyor.dead_letter WHERE delivery = %L lists them; SELECT conveyor.rollback_rebuild(%L, accept_missing => true) goes back without them.',
                                        present.beside, delivery);
            END IF;
            UPDATE conveyor.index_rebuild r SET upto = (SELECT s.cursor FROM conveyor.delivery_state s WHERE s.delivery = r.delivery) WHERE r.id = present.id;
            PERFORM conveyor.rebuild_enters(present.id, 'rolling_back', 'rollback_rebuild()');
        WHEN present.state = 'rolling_back' THEN
            NULL;
        WHEN present.state = 'rolled_back' THEN
            RAISE EXCEPTION 'the rebuild of delivery "%" is rolled back already', delivery
                USING ERRCODE = 'object_not_in_prerequisite_state', HINT = format('Run SELECT conveyor.rebuild(%L) for another one.', delivery);
        ELSE
            PERFORM conveyor.no_rebuild(delivery);
    END CASE;
END
$$;
COMMENT ON FUNCTION conveyor.rollback_rebuild(text, boolean) IS
    'give a rebuild up; after its switch, as long as the old index is kept: lead the alias back to it';
