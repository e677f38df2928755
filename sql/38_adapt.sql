-- 38: feeds adapt to what DDL makes of their views: in the same transaction their watches are derived anew and their deliveries
-- begin a re-check. DDL of users never fails because of us: a feed that cannot adapt has its deliveries wait, with the reason.

-- A key query that was written by hand names tables and columns, which may be called otherwise by now. Where a column of the watch
-- itself is gone its capture says so: capture_hold().
CREATE FUNCTION conveyor.check_key_queries(feed text) RETURNS void
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    definition CONSTANT conveyor.feed_definition := conveyor.find_feed(feed);
    each       conveyor.watch;
BEGIN
    FOR each IN SELECT w.* FROM conveyor.watch w JOIN pg_class c ON c.oid = w.relation
                 WHERE w.feed = definition.feed AND NOT w.derived
                   AND w.columns <@ ARRAY(SELECT a.attname::text FROM pg_attribute a WHERE a.attrelid = w.relation AND a.attnum > 0 AND NOT a.attisdropped)
                 ORDER BY w.relation::text LOOP
        BEGIN
            PERFORM conveyor.analyse_watch(each.relation, each.columns, each.documents, definition.key_types::oid[], definition.search_path);
        EXCEPTION
            WHEN OTHERS THEN
                RAISE EXCEPTION 'the key query for % does not work any more: %', each.relation, SQLERRM
                    USING ERRCODE = SQLSTATE,
                          HINT = format('SELECT conveyor.drop_watch(%1$L, %2$L); SELECT conveyor.add_watch(%1$L, %2$L, %3$L, ''SELECT …document key… FROM changed …'')',
                                        feed, each.relation, each.columns);
        END;
    END LOOP;
END
$$;

-- The deliveries wait, but for those that somebody or something else holds already.
CREATE FUNCTION conveyor.feed_trouble(feed text, problem text, remedy text) RETURNS void
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    before conveyor.feed_state;
BEGIN
    SELECT s.* INTO before FROM conveyor.feed_state s WHERE s.feed = feed_trouble.feed FOR UPDATE;
    UPDATE conveyor.feed_state s SET trouble = problem, remedy = feed_trouble.remedy WHERE s.feed = feed_trouble.feed;
    UPDATE conveyor.delivery_state s
       SET held_at = coalesce(s.held_at, clock_timestamp()), updated_at = clock_timestamp(), held_reason = conveyor.held_by_feed(feed_trouble.feed, problem)
      FROM conveyor.delivery_definition d
     WHERE d.delivery = s.delivery AND d.feed = feed_trouble.feed
       AND (s.held_at IS NULL OR s.held_reason = conveyor.held_by_feed(feed_trouble.feed, before.trouble));
    IF before.trouble IS DISTINCT FROM problem THEN
        PERFORM conveyor.write_journal('feed in trouble', feed, problem);
        RAISE WARNING 'feed "%" cannot follow its view: %', feed, problem
            USING DETAIL = 'Its deliveries wait and send nothing; changes go on being captured as before.',
                  HINT = remedy;
    END IF;
END
$$;

CREATE FUNCTION conveyor.held_by_feed(feed text, problem text) RETURNS text
    LANGUAGE sql IMMUTABLE
    SET search_path = pg_catalog, pg_temp
RETURN format('feed "%s" cannot follow its view: %s; SELECT * FROM conveyor.audit() says how to mend it', feed, problem);

-- Columns of the view that the delivery's index has no mapping for, or one for another type; NULL: there are none. Not for an index
-- that is being exchanged for another one anyway.
CREATE FUNCTION conveyor.unmapped(delivery text) RETURNS text
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN (SELECT string_agg(CASE WHEN old.type IS NULL THEN format('%I', now.name) ELSE format('%I (%s, was %s)', now.name, now.type, old.type) END, ', ' ORDER BY now.number)
              FROM conveyor.delivery_definition d
              JOIN conveyor.delivery_state s USING (delivery)
              JOIN conveyor.target_definition t USING (target)
             CROSS JOIN LATERAL (SELECT c ->> 'name' AS name, concat(c ->> 'type', CASE WHEN c -> 'array' = 'true' THEN '[]' END) AS type, n AS number
                                   FROM jsonb_array_elements(conveyor.feed_columns(d.feed)) WITH ORDINALITY AS e(c, n)) AS now
              LEFT JOIN LATERAL (SELECT c ->> 'name' AS name, concat(c ->> 'type', CASE WHEN c -> 'array' = 'true' THEN '[]' END) AS type
                                   FROM jsonb_array_elements(s.mapped) AS c) AS old USING (name)
             WHERE d.delivery = unmapped.delivery AND d.rebuild_of IS NULL AND t.kind = 'elasticsearch' AND s.mapped IS NOT NULL
               AND now.type IS DISTINCT FROM old.type
               AND NOT EXISTS (SELECT FROM conveyor.index_rebuild r
                                WHERE r.delivery = d.delivery AND r.state IN ('asked', 'filling', 'verifying', 'held', 'switching')));
END
$$;

-- It is over: who waited for that goes on, from a re-check, since nobody knows what was missed.
CREATE FUNCTION conveyor.feed_settles(feed text, reason text) RETURNS void
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    before conveyor.feed_state;
    each   record;
BEGIN
    SELECT s.* INTO before FROM conveyor.feed_state s WHERE s.feed = feed_settles.feed FOR UPDATE;
    IF before.trouble IS NOT NULL THEN
        UPDATE conveyor.delivery_state s
           SET held_at = NULL, held_reason = NULL, updated_at = clock_timestamp()
          FROM conveyor.delivery_definition d
         WHERE d.delivery = s.delivery AND d.feed = feed_settles.feed AND s.held_reason = conveyor.held_by_feed(feed_settles.feed, before.trouble);
        UPDATE conveyor.feed_state s SET trouble = NULL, remedy = NULL WHERE s.feed = feed_settles.feed;
    END IF;
    PERFORM conveyor.write_journal('feed adapted', feed, reason);
    PERFORM conveyor.recheck_feed(feed, reason);
    FOR each IN SELECT d.delivery, m.columns FROM conveyor.delivery_definition d, LATERAL conveyor.unmapped(d.delivery) AS m(columns)
                 WHERE d.feed = feed_settles.feed AND m.columns IS NOT NULL ORDER BY d.delivery LOOP
        RAISE NOTICE 'the index of delivery "%" was made before there were these columns: %', each.delivery, each.columns
            USING HINT = format('SELECT conveyor.rebuild(%L) makes another one beside it, with mappings for them.', each.delivery);
    END LOOP;
END
$$;

-- Compares a feed's view with what is known of it, and puts right what depends on it. Returns what stands in the way, NULL: nothing.
-- Tables touched: feed_state; feed_definition, watch, capture, request and delivery_state where something has changed.
CREATE FUNCTION conveyor.feed_adapts(feed text) RETURNS text
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    definition conveyor.feed_definition := conveyor.find_feed(feed);
    known      conveyor.feed_state;
    changes    text;
    names      text[];
    problem    text;
    hint       text;
    state      text;
BEGIN
    SELECT s.* INTO known FROM conveyor.feed_state s WHERE s.feed = feed_adapts.feed;
    IF NOT FOUND THEN
        RETURN NULL;  -- came with a dump: nothing is captured for it until it is woken
    ELSIF NOT EXISTS (SELECT FROM pg_class c WHERE c.oid = definition.document_view) THEN
        problem := format('%s was dropped', known.view_name);
        PERFORM conveyor.feed_trouble(feed, problem, format('CREATE VIEW %s AS … (the feed finds it by its name), or SELECT conveyor.change_view(%L, ''schema.view'')', known.view_name, feed));
        RETURN problem;
    END IF;
    changes := conveyor.changed_parts(known.parts, conveyor.document_parts(definition.document_view));
    names := definition.key;
    IF known.document_view = definition.document_view::oid THEN
        names := ARRAY(SELECT a.attname::text FROM unnest(known.key_numbers) WITH ORDINALITY AS k(attnum, number)
                         JOIN pg_attribute a ON a.attrelid = definition.document_view AND a.attnum = k.attnum ORDER BY k.number);
    END IF;
    BEGIN
        IF changes IS NOT NULL OR known.trouble IS NOT NULL OR names <> definition.key THEN
            PERFORM conveyor.put_analysis(definition, names);
        END IF;
        PERFORM conveyor.follow_feed(feed);
        PERFORM conveyor.check_key_queries(feed);
        PERFORM conveyor.note_feed(feed);
        IF changes IS NOT NULL OR known.trouble IS NOT NULL THEN
            PERFORM conveyor.feed_settles(feed, coalesce(changes, 'what was in its way is gone: ' || known.trouble));
        END IF;
    EXCEPTION WHEN OTHERS THEN
        GET STACKED DIAGNOSTICS problem = MESSAGE_TEXT, hint = PG_EXCEPTION_HINT, state = RETURNED_SQLSTATE;
    END;
    IF problem IS NOT NULL THEN
        PERFORM conveyor.note_sources(feed);
        PERFORM conveyor.feed_trouble(feed, problem,
            CASE state WHEN '55P03' THEN format('SELECT conveyor.adapt_feed(%L) -- as soon as the transactions that write to it have ended', feed)
                       ELSE CASE WHEN hint ~ '^(SELECT|CREATE|ALTER|GRANT) ' THEN hint
                                 ELSE concat_ws(' -- ', format('CREATE OR REPLACE VIEW %s AS …', definition.document_view), nullif(hint, '')) END END);
    END IF;
    RETURN problem;
END
$$;

-- What follows from the view as it is: types of the key, root, relations. Where the root's primary key is not the key any more
-- the feed has no root: it is filled in one range.
CREATE FUNCTION conveyor.put_analysis(definition conveyor.feed_definition, key text[]) RETURNS void
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    analysis record;
    missing  text;
BEGIN
    SELECT k INTO missing FROM unnest(key) AS k
     WHERE NOT EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = definition.document_view AND a.attname = k AND a.attnum > 0 AND NOT a.attisdropped);
    IF FOUND THEN
        RAISE EXCEPTION 'it has no column "%", which is part of the key', missing
            USING ERRCODE = 'undefined_column',
                  HINT = format('CREATE OR REPLACE VIEW %s AS … with the column %I among its own', definition.document_view, missing);
    END IF;
    IF EXISTS (SELECT FROM pg_roles r WHERE r.oid = definition.owner) AND NOT has_table_privilege(definition.owner, definition.document_view::oid, 'SELECT') THEN
        RAISE EXCEPTION 'its owner % may not read it', definition.owner
            USING ERRCODE = 'insufficient_privilege',
                  HINT = format('GRANT SELECT ON %s TO %s; SELECT conveyor.adapt_feed(%L)', definition.document_view, definition.owner, definition.feed);
    END IF;
    BEGIN
        SELECT a.* INTO analysis
          FROM conveyor.analyse_feed(definition.document_view, put_analysis.key,
                   CASE WHEN EXISTS (SELECT FROM conveyor.document_sources(definition.document_view) AS s WHERE s.object = definition.root) THEN definition.root END)
               AS a(key, key_types, root, root_key, relations);
    EXCEPTION WHEN invalid_table_definition OR invalid_parameter_value THEN
        SELECT a.* INTO analysis
          FROM conveyor.analyse_feed(definition.document_view, put_analysis.key, NULL) AS a(key, key_types, root, root_key, relations);
    END;
    UPDATE conveyor.feed_definition f
       SET key = analysis.key, key_types = analysis.key_types::regtype[], root = analysis.root, root_key = analysis.root_key, relations = analysis.relations::regclass[]
     WHERE f.feed = definition.feed
       AND (f.key, f.key_types::oid[], f.root::oid, f.root_key, f.relations::oid[])
           IS DISTINCT FROM (analysis.key, analysis.key_types, analysis.root, analysis.root_key, analysis.relations);
END
$$;

-- adapt_feed
-- Does by hand what the event triggers do by themselves: for when they were disabled, and to accept the names of tables as they
-- are after one was exchanged for another. Tables touched: as feed_adapts().
CREATE FUNCTION conveyor.adapt_feed(feed text) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    definition conveyor.feed_definition := conveyor.find_feed(feed);
    problem    text;
BEGIN
    PERFORM conveyor.check_owner(definition.owner, 'feed', feed);
    UPDATE conveyor.feed_state s SET former = '{}' WHERE s.feed = adapt_feed.feed;
    problem := conveyor.feed_adapts(feed);
    IF problem IS NOT NULL THEN
        RAISE EXCEPTION 'feed "%" cannot follow its view: %', feed, problem
            USING ERRCODE = 'object_not_in_prerequisite_state',
                  HINT = (SELECT s.remedy FROM conveyor.feed_state s WHERE s.feed = adapt_feed.feed);
    END IF;
END
$$;
COMMENT ON FUNCTION conveyor.adapt_feed(text) IS 'look at a feed''s view again, after changes that the event triggers did not see';

-- change_view: the documents of a feed are those of another view from now on. Its key has the columns that it had.
-- Tables touched: feed_definition, and as feed_adapts().
CREATE FUNCTION conveyor.change_view(feed text, document_view regclass) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    definition conveyor.feed_definition := conveyor.find_feed(feed);
BEGIN
    PERFORM conveyor.check_owner(definition.owner, 'feed', feed);
    IF document_view IS NULL OR NOT has_table_privilege(conveyor.caller(), document_view::oid, 'SELECT') THEN
        RAISE EXCEPTION 'permission denied for view %', coalesce(document_view::text, 'null')
            USING ERRCODE = 'insufficient_privilege', HINT = format('Run GRANT SELECT ON %s TO %I.', document_view, conveyor.caller());
    END IF;
    IF definition.document_view IS DISTINCT FROM document_view THEN
        UPDATE conveyor.feed_definition f SET document_view = change_view.document_view WHERE f.feed = change_view.feed;
        PERFORM conveyor.write_journal('change view', feed, format('%s, was %s', document_view, definition.document_view));
        PERFORM conveyor.wake_feed(feed);
        PERFORM conveyor.adapt_feed(feed);
    END IF;
END
$$;
COMMENT ON FUNCTION conveyor.change_view(text, regclass) IS 'make a feed''s documents from another view with the same key; its deliveries begin a re-check';

-- A feed that came with a dump: its captures are put in place, and from now on it adapts.
CREATE FUNCTION conveyor.wake_feed(feed text) RETURNS void
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    watched oid;
BEGIN
    IF EXISTS (SELECT FROM conveyor.feed_state s WHERE s.feed = wake_feed.feed) THEN
        RETURN;
    END IF;
    IF NOT EXISTS (SELECT FROM conveyor.feed_definition f JOIN pg_class c ON c.oid = f.document_view WHERE f.feed = wake_feed.feed) THEN
        RAISE EXCEPTION 'view of feed "%" does not exist', feed
            USING ERRCODE = 'undefined_table', HINT = format('Run SELECT conveyor.change_view(%L, ''schema.view'').', feed);
    END IF;
    PERFORM conveyor.note_feed(feed);
    FOR watched IN SELECT w.relation FROM conveyor.watch w WHERE w.feed = wake_feed.feed ORDER BY w.relation::text LOOP
        PERFORM conveyor.install_capture(watched);
    END LOOP;
END
$$;

-- All that a dump brought. One that cannot be woken is tried again for its deliveries; the audit names what is in the way.
CREATE FUNCTION conveyor.wake_feeds() RETURNS void
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    each text;
BEGIN
    FOR each IN SELECT f.feed FROM conveyor.feed_definition f WHERE NOT EXISTS (SELECT FROM conveyor.feed_state s WHERE s.feed = f.feed) ORDER BY f.feed LOOP
        BEGIN
            PERFORM conveyor.wake_feed(each);
        EXCEPTION WHEN OTHERS THEN
            PERFORM conveyor.write_journal('feed not woken', each, SQLERRM);
        END;
    END LOOP;
END
$$;

-- What resume_delivery() asks: is everything in place that the feed's deliveries rely on? Puts right what it can.
CREATE FUNCTION conveyor.check_feed_runs(feed text) RETURNS void
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    problem text;
BEGIN
    PERFORM conveyor.wake_feed(feed);
    problem := conveyor.feed_adapts(feed);
    IF problem IS NOT NULL THEN
        RAISE EXCEPTION 'feed "%" cannot follow its view: %', feed, problem
            USING ERRCODE = 'object_not_in_prerequisite_state',
                  HINT = (SELECT s.remedy FROM conveyor.feed_state s WHERE s.feed = check_feed_runs.feed);
    END IF;
    PERFORM conveyor.install_capture(w.relation) FROM conveyor.watch w JOIN pg_class c ON c.oid = w.relation WHERE w.feed = check_feed_runs.feed;
END
$$;

-- A table that the view reads was renamed and another one has its name now: the view reads the former one still.
CREATE FUNCTION conveyor.swapped() RETURNS TABLE (feed text, relation regclass, former text, newcomer regclass, reader regclass)
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT DISTINCT s.feed, r.relation::oid::regclass, r.former, to_regclass(r.former), w.ev_class::regclass
      FROM conveyor.feed_state s
      JOIN conveyor.feed_definition f USING (feed)
     CROSS JOIN LATERAL jsonb_each_text(s.former) AS r(relation, former)
      LEFT JOIN (pg_rewrite w JOIN pg_depend d ON d.classid = 'pg_rewrite'::regclass AND d.objid = w.oid AND d.refclassid = 'pg_class'::regclass AND w.ev_type = '1')
             ON d.refobjid = r.relation::oid AND w.ev_class <> d.refobjid AND w.ev_class = ANY (s.sources)
     WHERE (w.ev_class IS NOT NULL OR f.document_view::oid = r.relation::oid)
       AND to_regclass(r.former) <> r.relation::oid::regclass;
END;

CREATE FUNCTION conveyor.swap_problem(feed text, relation regclass, newcomer regclass) RETURNS text
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
RETURN format('%s is another %s now: feed "%s" goes on with the former one, which is called %s now',
              newcomer, CASE (SELECT c.relkind FROM pg_class c WHERE c.oid = relation) WHEN 'v' THEN 'view' ELSE 'table' END, feed, relation);

-- The command that leads the view to the table which has the name now. In a view's text a name of ours is in small letters or in
-- quotes and a keyword is not, so it can be seen whether an alias follows; where none does, the columns are called by the name that
-- the table has now.
CREATE FUNCTION conveyor.swap_remedy(feed text, relation regclass, former text, reader regclass) RETURNS text
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    before CONSTANT text := '(^|[^\w".$''])' || regexp_replace(relation::text, '([.$\\*+?()\[\]{}|^])', '\\\1', 'g');
    after  CONSTANT text := '\1' || replace(former, '\', '\\');
    alias  CONSTANT text := (SELECT quote_ident(c.relname) FROM pg_class c WHERE c.oid = relation);
BEGIN
    IF reader IS NULL THEN
        RETURN format('SELECT conveyor.change_view(%L, %L)', feed, former);
    END IF;
    RETURN format(E'CREATE OR REPLACE VIEW %s AS\n%s', reader,
                  regexp_replace(regexp_replace(pg_get_viewdef(reader), before || '(?= [a-z_"])', after, 'g'),
                                 before || '(?![\w".$])', after || ' ' || replace(alias, '\', '\\'), 'g'));
END
$$;

CREATE FUNCTION conveyor.feeds_on_ddl() RETURNS event_trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    touched oid[];
    each    record;
BEGIN
    IF conveyor.is_installing() OR NOT EXISTS (SELECT FROM conveyor.feed_state) THEN
        RETURN;
    END IF;
    touched := ARRAY(SELECT d.objid FROM pg_event_trigger_ddl_commands() AS d
                      WHERE d.classid IN ('pg_class'::regclass, 'pg_proc'::regclass, 'pg_type'::regclass) AND d.schema_name IS DISTINCT FROM 'pg_temp'
                     UNION
                    SELECT w.ev_class FROM pg_event_trigger_ddl_commands() AS d JOIN pg_rewrite w ON d.classid = 'pg_rewrite'::regclass AND w.oid = d.objid);
    IF touched = '{}' AND tg_tag <> 'ALTER SCHEMA' THEN
        RETURN;
    END IF;
    FOR each IN SELECT s.feed, s.view_name, c.oid AS found, c.relowner IN (s.view_owner, f.owner) AS same_owner
                  FROM conveyor.feed_state s
                  JOIN conveyor.feed_definition f USING (feed)
                  JOIN pg_class c ON c.oid = to_regclass(s.view_name) AND c.relkind IN ('v', 'r', 'p')
                 WHERE c.oid = ANY (touched) AND NOT EXISTS (SELECT FROM pg_class g WHERE g.oid = f.document_view) LOOP
        -- Its functions will run with the rights of the feed's owner: anybody's view will not do.
        IF each.same_owner THEN
            UPDATE conveyor.feed_definition f SET document_view = each.found WHERE f.feed = each.feed;
            PERFORM conveyor.feed_adapts(each.feed);
        ELSE
            RAISE WARNING 'feed "%" does not follow %: it belongs to another role than the view that was dropped', each.feed, each.view_name
                USING HINT = format('Run SELECT conveyor.change_view(%L, %L) if it is to be followed.', each.feed, each.view_name);
        END IF;
    END LOOP;
    -- What a key query by hand cannot find may have come with any name.
    FOR each IN SELECT s.feed FROM conveyor.feed_state s WHERE s.sources && touched OR s.trouble IS NOT NULL OR tg_tag = 'ALTER SCHEMA' ORDER BY s.feed LOOP
        PERFORM conveyor.feed_adapts(each.feed);
    END LOOP;
    FOR each IN SELECT s.* FROM conveyor.swapped() AS s WHERE s.relation = ANY (touched) OR s.newcomer = ANY (touched) LOOP
        RAISE WARNING '%', conveyor.swap_problem(each.feed, each.relation, each.newcomer)
            USING DETAIL = format('Views read tables, not names: what is in %s does not reach the documents.', each.newcomer),
                  HINT = 'SELECT * FROM conveyor.audit() has the command that leads the feed to the new one.';
    END LOOP;
EXCEPTION WHEN OTHERS THEN
    RAISE WARNING 'could not see to the feeds that read what was changed: %', SQLERRM
        USING HINT = 'SELECT * FROM conveyor.audit() says what to do.';
END
$$;
COMMENT ON FUNCTION conveyor.feeds_on_ddl() IS 'event trigger: feeds adapt to their views';

CREATE FUNCTION conveyor.feeds_on_drop() RETURNS event_trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    each text;
BEGIN
    -- DROP EXTENSION pg_conveyor itself comes here too, without the tables.
    IF to_regclass('conveyor.feed_state') IS NULL THEN
        RETURN;
    END IF;
    FOR each IN SELECT s.feed FROM pg_event_trigger_dropped_objects() AS d
                  JOIN conveyor.feed_state s ON s.document_view = d.objid
                 WHERE d.classid = 'pg_class'::regclass AND d.objsubid = 0 ORDER BY s.feed LOOP
        PERFORM conveyor.feed_adapts(each);
    END LOOP;
EXCEPTION WHEN OTHERS THEN
    RAISE WARNING 'could not see to the feeds whose view was dropped: %', SQLERRM
        USING HINT = 'SELECT * FROM conveyor.audit() says what to do.';
END
$$;
COMMENT ON FUNCTION conveyor.feeds_on_drop() IS 'event trigger: deliveries of a feed whose view is dropped wait for another one';

CREATE EVENT TRIGGER conveyor_feeds_on_ddl ON ddl_command_end
    WHEN TAG IN ('CREATE VIEW', 'ALTER VIEW', 'CREATE TABLE', 'CREATE TABLE AS', 'SELECT INTO', 'ALTER TABLE', 'CREATE RULE', 'CREATE FUNCTION', 'ALTER FUNCTION', 'ALTER TYPE', 'ALTER SCHEMA', 'CREATE SCHEMA')
    EXECUTE FUNCTION conveyor.feeds_on_ddl();
CREATE EVENT TRIGGER conveyor_feeds_on_drop ON sql_drop EXECUTE FUNCTION conveyor.feeds_on_drop();
ALTER EVENT TRIGGER conveyor_feeds_on_ddl ENABLE ALWAYS;
ALTER EVENT TRIGGER conveyor_feeds_on_drop ENABLE ALWAYS;
