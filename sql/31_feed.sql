-- 31: feeds: a view with one row per document, its key, and the root table that the key comes from.

CREATE TABLE conveyor.feed_definition (
    feed           text PRIMARY KEY CHECK (conveyor.is_name(feed)),
    document_view  regclass NOT NULL,
    key            text[] NOT NULL CHECK (cardinality(key) > 0),
    key_types      regtype[] NOT NULL CHECK (cardinality(key_types) = cardinality(key)),
    root           regclass,
    root_key       text[],
    relations      regclass[] NOT NULL,    -- every base table that the view reads
    search_path    text NOT NULL,          -- the one in force when the feed was made; fetching uses it
    options        jsonb NOT NULL CHECK (jsonb_typeof(options) = 'object'),
    owner          regrole NOT NULL,
    created_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
    CHECK (root IS NULL OR cardinality(root_key) = cardinality(key))
);
COMMENT ON TABLE conveyor.feed_definition IS 'what documents are; see create_feed()';
SELECT pg_catalog.pg_extension_config_dump('conveyor.feed_definition', '');

CREATE FUNCTION conveyor.find_feed(feed text) RETURNS conveyor.feed_definition
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    definition conveyor.feed_definition;
BEGIN
    SELECT f.* INTO definition FROM conveyor.feed_definition f WHERE f.feed = find_feed.feed;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'feed "%" does not exist', feed
            USING ERRCODE = 'undefined_object',
                  HINT = 'SELECT feed FROM conveyor.feed_definition lists the feeds; conveyor.create_feed() makes one.';
    END IF;
    RETURN definition;
END
$$;

-- create_feed
--   document_view  a view with one row per document    key   its columns that make the id; default: the root's primary key
--   root           the table that the key comes from, where it cannot be found from the view
--   options        "ignore": functions and tables whose changes do not matter, though the view uses them
--   search_path    what the view's functions are run with; the default is evaluated in the caller's session
-- Tables touched: feed_definition, watch, capture, journal_entry; the watched tables get their triggers.
CREATE FUNCTION conveyor.create_feed(feed text, document_view regclass, key text[] DEFAULT NULL, root regclass DEFAULT NULL,
                                     options jsonb DEFAULT '{}', search_path text DEFAULT current_setting('search_path')) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    present  conveyor.feed_definition;
    analysis record;
BEGIN
    PERFORM conveyor.check_name('feed', feed);
    IF document_view IS NULL THEN
        RAISE EXCEPTION 'a feed needs a view' USING ERRCODE = 'null_value_not_allowed',
            HINT = format('Run SELECT conveyor.create_feed(%L, ''schema.view'').', feed);
    END IF;
    options := conveyor.check_options('feed', NULL, options);
    IF NOT has_table_privilege(conveyor.caller(), document_view::oid, 'SELECT') THEN
        RAISE EXCEPTION 'permission denied for view %', document_view
            USING ERRCODE = 'insufficient_privilege',
                  HINT = format('Run GRANT SELECT ON %s TO %I.', document_view, conveyor.caller());
    END IF;
    SELECT a.* INTO analysis
      FROM conveyor.analyse_feed(document_view, key, root) AS a(key, key_types, root, root_key, relations);

    INSERT INTO conveyor.feed_definition (feed, document_view, key, key_types, root, root_key, relations, search_path, options, owner)
    VALUES (feed, document_view, analysis.key, analysis.key_types::regtype[], analysis.root, analysis.root_key, analysis.relations::regclass[],
            create_feed.search_path, options, conveyor.caller()::regrole)
    ON CONFLICT DO NOTHING;
    IF NOT FOUND THEN
        present := conveyor.find_feed(feed);
        PERFORM conveyor.check_owner(present.owner, 'feed', feed);
        PERFORM conveyor.check_same('feed', feed,
            jsonb_build_object('document_view', present.document_view::text, 'key', present.key, 'root', present.root::text, 'options', present.options),
            jsonb_build_object('document_view', document_view::text, 'key', analysis.key, 'root', (analysis.root::regclass)::text, 'options', options),
            format('Run SELECT conveyor.drop_feed(%L) before making it anew, or choose another name.', feed));
        RETURN;
    END IF;
    PERFORM conveyor.write_journal('create feed', feed, format('view %s, key %s', document_view, array_to_string(analysis.key, ', ')));

    PERFORM conveyor.follow_feed(feed, strict => true);
    PERFORM conveyor.note_feed(feed);
END
$$;
COMMENT ON FUNCTION conveyor.create_feed(text, regclass, text[], regclass, jsonb, text) IS
    'documents are the rows of a view; derives from it which changes of which tables touch them; the same definition again does nothing';

CREATE FUNCTION conveyor.alter_feed(feed text, options jsonb) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    present conveyor.feed_definition := conveyor.find_feed(feed);
    merged  jsonb;
BEGIN
    PERFORM conveyor.check_owner(present.owner, 'feed', feed);
    SELECT f.* INTO present FROM conveyor.feed_definition f WHERE f.feed = alter_feed.feed FOR UPDATE;
    merged := conveyor.check_options('feed', NULL, present.options || options);
    UPDATE conveyor.feed_definition f SET options = merged WHERE f.feed = alter_feed.feed;
    IF (conveyor.ignored(merged), conveyor.clocks(merged)) IS DISTINCT FROM (conveyor.ignored(present.options), conveyor.clocks(present.options)) THEN
        PERFORM conveyor.follow_feed(feed, strict => true);
        PERFORM conveyor.feed_adapts(s.feed) FROM conveyor.feed_state s WHERE s.feed = alter_feed.feed AND s.trouble IS NOT NULL;
    END IF;
    PERFORM conveyor.write_journal('alter feed', feed, conveyor.difference(present.options, merged));
END
$$;
COMMENT ON FUNCTION conveyor.alter_feed(text, jsonb) IS 'merge options into a feed''s; null brings an option back to its default';

CREATE FUNCTION conveyor.drop_feed(feed text) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    present    conveyor.feed_definition := conveyor.find_feed(feed);
    deliveries text;
    watched    regclass;
BEGIN
    PERFORM conveyor.check_owner(present.owner, 'feed', feed);
    SELECT string_agg(quote_ident(d.delivery), ', ' ORDER BY d.delivery) INTO deliveries
      FROM conveyor.delivery_definition d WHERE d.feed = drop_feed.feed AND d.rebuild_of IS NULL;
    IF deliveries IS NOT NULL THEN
        RAISE EXCEPTION 'feed "%" is in use', feed
            USING ERRCODE = 'dependent_objects_still_exist',
                  DETAIL = format('Its deliveries: %s.', deliveries),
                  HINT = 'Run SELECT conveyor.drop_delivery(…) for each of them first.';
    END IF;
    FOR watched IN DELETE FROM conveyor.watch w WHERE w.feed = drop_feed.feed RETURNING w.relation LOOP
        PERFORM conveyor.install_capture(watched);
    END LOOP;
    DELETE FROM conveyor.feed_definition f WHERE f.feed = drop_feed.feed;
    PERFORM conveyor.write_journal('drop feed', feed);
END
$$;
COMMENT ON FUNCTION conveyor.drop_feed(text) IS 'forget a feed and the watches that only it needs; an error while it has deliveries';
