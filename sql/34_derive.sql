-- 34: watches derived from the view: which tables its documents depend on, and how a change leads to them (docs/feeds.md).

-- What the feed was told not to follow.
CREATE FUNCTION conveyor.ignored(options jsonb) RETURNS text[]
    LANGUAGE sql IMMUTABLE
    SET search_path = pg_catalog, pg_temp
RETURN ARRAY(SELECT i.name FROM jsonb_array_elements_text(coalesce(options -> 'ignore', '[]')) WITH ORDINALITY AS i(name, number) ORDER BY i.number);

-- What the option "recheck_every" stands in for: the passing of time.
CREATE FUNCTION conveyor.clocks(options jsonb) RETURNS text[]
    LANGUAGE sql IMMUTABLE
    SET search_path = pg_catalog, pg_temp
RETURN CASE WHEN options ? 'recheck_every'
            THEN ARRAY['now', 'CURRENT_DATE', 'CURRENT_TIME', 'CURRENT_TIMESTAMP', 'LOCALTIME', 'LOCALTIMESTAMP', 'age(timestamp with time zone)', 'age(timestamp without time zone)',
                       'statement_timestamp', 'transaction_timestamp', 'clock_timestamp']
            ELSE '{}' END;

-- Raises what stands against following the view, with the commands that go on in spite of it. `problems`: rows of
-- follow_view(); `is_new`: the feed is being created.
CREATE FUNCTION conveyor.refuse_view(definition conveyor.feed_definition, problems jsonb, is_new boolean) RETURNS void
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    ignored jsonb;
    -- A change of the table concerns all documents, unless one knows better.
    every   CONSTANT text := CASE WHEN definition.root IS NOT NULL THEN
        format('SELECT %s FROM changed, %s AS r', (SELECT string_agg('r.' || quote_ident(k.name), ', ' ORDER BY k.number)
                                                     FROM unnest(definition.root_key) WITH ORDINALITY AS k(name, number)), definition.root) END;
    watches text;
BEGIN
    SELECT jsonb_build_object('ignore', jsonb_agg(i.name ORDER BY i.number)) INTO ignored
      FROM (SELECT n.name, min(n.number) AS number
              FROM unnest(conveyor.ignored(definition.options)
                          || ARRAY(SELECT p ->> 'object' FROM jsonb_array_elements(problems) WITH ORDINALITY AS e(p, n) ORDER BY n)) WITH ORDINALITY AS n(name, number)
             GROUP BY n.name) AS i;
    SELECT string_agg(format('SELECT conveyor.add_watch(%L, %L, %L, %L)', definition.feed, r.relation::regclass,
                             ARRAY(SELECT c.name FROM jsonb_array_elements_text(r.columns) WITH ORDINALITY AS c(name, number) ORDER BY c.number),
                             coalesce(every, 'SELECT …document key… FROM changed …')), '; ' ORDER BY r.number) INTO watches
      FROM (SELECT DISTINCT ON ((p ->> 'relation')::oid) (p ->> 'relation')::oid AS relation, p -> 'columns' AS columns, n AS number
              FROM jsonb_array_elements(problems) WITH ORDINALITY AS e(p, n) WHERE p ->> 'relation' IS NOT NULL
             ORDER BY (p ->> 'relation')::oid, n) AS r
      JOIN pg_class c ON c.oid = r.relation AND c.relkind IN ('r', 'p') AND c.relpersistence = 'p' AND r.relation >= 16384;
    RAISE EXCEPTION 'view % cannot be followed: % in % %', definition.document_view, problems -> 0 ->> 'object', problems -> 0 ->> 'place', problems -> 0 ->> 'reason'
        USING ERRCODE = 'feature_not_supported',
              DETAIL = coalesce((SELECT string_agg(format('Likewise %s in %s: it %s.', p ->> 'object', p ->> 'place', p ->> 'reason'), E'\n' ORDER BY n)
                                   FROM jsonb_array_elements(problems) WITH ORDINALITY AS e(p, n) WHERE n > 1),
                                'Documents would be out of date, and nobody would know.'),
              HINT = CASE WHEN problems -> 0 ->> 'reason' = 'follows the clock' AND jsonb_array_length(problems) = 1
                          THEN format('Say how often all documents are to be compared: options => %L; or, if it does not matter, options => %L.', '{"recheck_every": "1 day"}', ignored)
                          WHEN is_new THEN format('If that does not matter, say so: options => %L.', ignored) || coalesce(' If it does, do so and then run ' || watches || '.', '')
                          ELSE format('SELECT conveyor.alter_feed(%L, %L)', definition.feed, ignored) || coalesce(', or where it matters ' || watches, '') END;
END
$$;

-- follow_feed
--   strict    the feed is being created or altered: a name in the option "ignore" that the view does not use is an error
-- Makes the derived watches of a feed what its view asks for, now: those that are right stay as they are, and so do explicit
-- ones. Returns the tables whose watches changed.
-- Tables touched: watch, capture; request and delivery_state (re-check) where other columns are watched.
CREATE FUNCTION conveyor.follow_feed(feed text, strict boolean DEFAULT false) RETURNS SETOF regclass
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    definition CONSTANT conveyor.feed_definition := conveyor.find_feed(feed);
    followed   CONSTANT jsonb := (SELECT coalesce(jsonb_agg(to_jsonb(v)), '[]')
                                    FROM conveyor.follow_view(definition.document_view, definition.key, conveyor.ignored(definition.options) || conveyor.clocks(definition.options)) AS v);
    problems   jsonb;
    each       record;
    present    conveyor.watch;
    asked      text[];
BEGIN
    SELECT jsonb_agg(r ORDER BY n) INTO problems
      FROM jsonb_array_elements(followed) WITH ORDINALITY AS e(r, n)
     WHERE r ->> 'kind' = 'problem'
       AND NOT EXISTS (SELECT FROM conveyor.watch w WHERE w.feed = definition.feed AND w.relation::oid = (r ->> 'relation')::oid AND NOT w.derived);
    IF problems IS NOT NULL THEN
        PERFORM conveyor.refuse_view(definition, problems, NOT EXISTS (SELECT FROM conveyor.feed_state s WHERE s.feed = definition.feed));
    END IF;
    IF strict AND EXISTS (SELECT FROM jsonb_array_elements(followed) AS r WHERE r ->> 'kind' = 'unused' AND r ->> 'object' = ANY (conveyor.ignored(definition.options))) THEN
        RAISE EXCEPTION 'view % does not use %', definition.document_view,
            (SELECT string_agg(r ->> 'object', ', ') FROM jsonb_array_elements(followed) AS r WHERE r ->> 'kind' = 'unused' AND r ->> 'object' = ANY (conveyor.ignored(definition.options)))
            USING ERRCODE = 'invalid_parameter_value',
                  HINT = 'Name in the option "ignore" only functions and tables that the view uses.';
    END IF;

    FOR each IN
        SELECT (r ->> 'relation')::oid::regclass AS relation, r ->> 'documents' AS documents,
               ARRAY(SELECT c.name FROM jsonb_array_elements_text(r -> 'columns') WITH ORDINALITY AS c(name, number) ORDER BY c.number) AS columns
          FROM jsonb_array_elements(followed) WITH ORDINALITY AS e(r, n)
         WHERE r ->> 'kind' = 'watch'
         ORDER BY n
    LOOP
        SELECT w.* INTO present FROM conveyor.watch w WHERE w.feed = definition.feed AND w.relation = each.relation;
        CONTINUE WHEN present.feed IS NOT NULL AND (NOT present.derived OR (present.columns, present.documents) = (each.columns, each.documents));
        RETURN NEXT each.relation;
        asked := conveyor.analyse_watch(each.relation, each.columns, each.documents, definition.key_types::oid[], definition.search_path);
        IF (present.columns, present.recorded) IS NOT DISTINCT FROM (each.columns, asked) THEN
            -- Nothing that was captured is lacking.
            UPDATE conveyor.watch w SET documents = each.documents WHERE w.feed = definition.feed AND w.relation = each.relation;
        ELSE
            PERFORM conveyor.put_watch(feed, each.relation, each.columns, each.documents, true);
        END IF;
    END LOOP;

    FOR each IN
        DELETE FROM conveyor.watch w
         WHERE w.feed = definition.feed AND w.derived
           AND NOT EXISTS (SELECT FROM jsonb_array_elements(followed) AS r WHERE r ->> 'kind' = 'watch' AND (r ->> 'relation')::oid = w.relation::oid)
        RETURNING w.relation
    LOOP
        PERFORM conveyor.install_capture(each.relation);
        RETURN NEXT each.relation;
    END LOOP;
END
$$;

-- derive_watches: the same for whoever owns the feed. DDL on what the view reads does so by itself (38_adapt.sql). Returns the
-- tables whose watches changed, in which case the deliveries begin a re-check.
CREATE FUNCTION conveyor.derive_watches(feed text) RETURNS SETOF regclass
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    changed regclass[];
BEGIN
    PERFORM conveyor.check_owner((conveyor.find_feed(feed)).owner, 'feed', feed);
    changed := ARRAY(SELECT c FROM conveyor.follow_feed(feed) AS c);
    IF changed <> '{}' THEN
        PERFORM conveyor.write_journal('derive watches', feed, array_to_string(changed, ', '));
        PERFORM conveyor.recheck_feed(feed, 'its watches were derived anew');
    END IF;
    RETURN QUERY SELECT unnest(changed);
END
$$;
COMMENT ON FUNCTION conveyor.derive_watches(text) IS
    'derive the watches of a feed from its view as it is now; returns the tables whose watches changed';

-- Feeds whose documents depend on the clock: their deliveries compare everything, both ways, when it is time. They stay live
-- meanwhile: what changes in tables does not wait for that.
-- Tables touched: request.
CREATE FUNCTION conveyor.recheck_by_clock() RETURNS void
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    due text;
BEGIN
    FOR due IN
        SELECT d.delivery
          FROM conveyor.feed_definition f
          JOIN conveyor.delivery_definition d USING (feed)
          JOIN conveyor.delivery_state s USING (delivery)
         WHERE f.options ? 'recheck_every'
           AND NOT EXISTS (SELECT FROM conveyor.request r WHERE r.delivery = d.delivery AND r.state IN ('open', 'paused') AND r.kind <> 'keys')
           AND coalesce((SELECT max(r.finished_at) FROM conveyor.request r WHERE r.delivery = d.delivery AND r.kind IN ('recheck', 'backfill') AND r.state = 'finished'), d.created_at)
               < clock_timestamp() - (f.options ->> 'recheck_every')::interval
         ORDER BY d.delivery
           FOR UPDATE OF s SKIP LOCKED
    LOOP
        PERFORM conveyor.open_request(due, 'recheck', conveyor.latest_snapshot(), 'documents depend on the clock: recheck_every');
    END LOOP;
END
$$;
