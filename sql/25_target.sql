-- 25: targets: places to send documents to.

CREATE TABLE conveyor.target_definition (
    target      text PRIMARY KEY CHECK (conveyor.is_name(target)),
    kind        text NOT NULL CHECK (kind IN ('elasticsearch', 'ndjson')),
    options     jsonb NOT NULL CHECK (jsonb_typeof(options) = 'object'),
    owner       regrole NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE conveyor.target_definition IS 'places to send documents to; see create_target()';
SELECT pg_catalog.pg_extension_config_dump('conveyor.target_definition', '');

CREATE FUNCTION conveyor.find_target(target text) RETURNS conveyor.target_definition
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    definition conveyor.target_definition;
BEGIN
    SELECT t.* INTO definition FROM conveyor.target_definition t WHERE t.target = find_target.target;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'target "%" does not exist', target
            USING ERRCODE = 'undefined_object',
                  HINT = 'SELECT target FROM conveyor.target_definition lists the targets; conveyor.create_target() makes one.';
    END IF;
    RETURN definition;
END
$$;

-- What the options of one row cannot say by themselves.
CREATE FUNCTION conveyor.check_target_options(kind text, options jsonb) RETURNS jsonb
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    options := conveyor.check_options('target', kind, options);
    IF options ? 'client_key_file' <> options ? 'client_cert_file' THEN
        RAISE EXCEPTION 'options "client_cert_file" and "client_key_file" go together'
            USING ERRCODE = 'invalid_parameter_value', HINT = 'Give both or neither.';
    ELSIF options ? 'secret' AND (options ->> 'secret') !~ '^[A-Za-z0-9_.-]{1,63}$' THEN
        RAISE EXCEPTION 'invalid value for option "secret": % is not a name', options -> 'secret'
            USING ERRCODE = 'invalid_parameter_value',
                  DETAIL = 'It names environment variables of the agent; it is never the secret itself.',
                  HINT = 'Give 1 to 63 letters, digits, dots, hyphens or underscores.';
    END IF;
    RETURN options;
END
$$;

-- create_target
--   target   its name                kind     'elasticsearch' (Elasticsearch and OpenSearch) or 'ndjson'
--   options  see option_definition
-- Tables touched: target_definition, journal_entry.
CREATE FUNCTION conveyor.create_target(target text, kind text, options jsonb DEFAULT '{}') RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    present conveyor.target_definition;
BEGIN
    PERFORM conveyor.check_name('target', target);
    IF kind IS NULL OR kind NOT IN ('elasticsearch', 'ndjson') THEN
        RAISE EXCEPTION 'unknown kind of target: %', coalesce(format('"%s"', kind), 'null')
            USING ERRCODE = 'invalid_parameter_value', HINT = 'Kinds are elasticsearch (also for OpenSearch) and ndjson.';
    END IF;
    options := conveyor.check_target_options(kind, options);

    INSERT INTO conveyor.target_definition (target, kind, options, owner)
    VALUES (target, kind, options, conveyor.caller()::regrole)
    ON CONFLICT DO NOTHING;
    IF FOUND THEN
        PERFORM conveyor.write_journal('create target', target, format('%s %s', kind, options));
        RETURN;
    END IF;

    present := conveyor.find_target(target);
    PERFORM conveyor.check_owner(present.owner, 'target', target);
    PERFORM conveyor.check_same('target', target,
        jsonb_build_object('kind', present.kind, 'options', present.options),
        jsonb_build_object('kind', kind, 'options', options),
        format('Run SELECT conveyor.alter_target(%L, …) to change its options, or choose another name.', target));
END
$$;
COMMENT ON FUNCTION conveyor.create_target(text, text, jsonb) IS
    'a place to send documents to; the same definition again does nothing';

CREATE FUNCTION conveyor.alter_target(target text, options jsonb) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    present conveyor.target_definition := conveyor.find_target(target);
    merged  jsonb;
    state   record;
BEGIN
    PERFORM conveyor.check_owner(present.owner, 'target', target);
    SELECT t.* INTO present FROM conveyor.target_definition t WHERE t.target = alter_target.target FOR UPDATE;
    merged := conveyor.check_target_options(present.kind, present.options || options);
    UPDATE conveyor.target_definition t SET options = merged WHERE t.target = alter_target.target;
    IF merged <> present.options THEN
        -- What is under way goes by the old options, perhaps to another server: a new lease ends it, as a takeover does.
        FOR state IN SELECT s.* FROM conveyor.delivery_state s JOIN conveyor.delivery_definition d USING (delivery)
                      WHERE d.target = alter_target.target AND s.agent IS NOT NULL ORDER BY s.delivery FOR UPDATE OF s LOOP
            PERFORM conveyor.new_lease(state.delivery, state.agent);
        END LOOP;
    END IF;
    PERFORM conveyor.write_journal('alter target', target, conveyor.difference(present.options, merged));
END
$$;
COMMENT ON FUNCTION conveyor.alter_target(text, jsonb) IS
    'merge options into a target''s; null brings an option back to its default; takes effect within a second';

CREATE FUNCTION conveyor.drop_target(target text) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    present    conveyor.target_definition := conveyor.find_target(target);
    deliveries text;
BEGIN
    PERFORM conveyor.check_owner(present.owner, 'target', target);
    SELECT string_agg(quote_ident(d.delivery), ', ' ORDER BY d.delivery) INTO deliveries
      FROM conveyor.delivery_definition d WHERE d.target = drop_target.target AND d.rebuild_of IS NULL;
    IF deliveries IS NOT NULL THEN
        RAISE EXCEPTION 'target "%" is in use', target
            USING ERRCODE = 'dependent_objects_still_exist',
                  DETAIL = format('Deliveries that send there: %s.', deliveries),
                  HINT = 'Run SELECT conveyor.drop_delivery(…) for each of them first.';
    END IF;
    DELETE FROM conveyor.target_definition t WHERE t.target = drop_target.target;
    PERFORM conveyor.write_journal('drop target', target);
END
$$;
COMMENT ON FUNCTION conveyor.drop_target(text) IS 'forget a target; an error while deliveries send there';
