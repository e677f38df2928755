-- 33: watches: which tables' changes are captured for a feed, and which documents each change touches.

CREATE TABLE conveyor.watch (
    feed       text NOT NULL REFERENCES conveyor.feed_definition,
    relation   regclass NOT NULL,
    columns    text[] NOT NULL CHECK (cardinality(columns) > 0),   -- compared: an update that leaves them alone costs nothing
    documents  text NOT NULL,                                      -- query over `changed` that returns document keys
    recorded   text[] NOT NULL,                                    -- what `documents` reads of `changed`
    derived    boolean NOT NULL,                                   -- made by create_feed(), not by add_watch()
    PRIMARY KEY (feed, relation)
);
CREATE INDEX watch_relation ON conveyor.watch (relation);
COMMENT ON TABLE conveyor.watch IS 'tables whose changes are captured for a feed; see add_watch()';
SELECT pg_catalog.pg_extension_config_dump('conveyor.watch', '');

-- All captures, also retired ones, whose rows in the log concern the feed.
CREATE FUNCTION conveyor.feed_captures(feed text) RETURNS int[]
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN ARRAY(SELECT c.capture FROM conveyor.watch w JOIN conveyor.capture c ON c.relation = w.relation::oid
                  WHERE w.feed = feed_captures.feed ORDER BY c.capture);
END
$$;

-- Only whoever may alter a table may put triggers on it: the caller, or the owner of the feed that adapts to its view; and only
-- permanent tables have changes that survive.
CREATE FUNCTION conveyor.check_watchable(relation regclass, owner oid DEFAULT NULL) RETURNS void
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    class   pg_class;
    problem text;
BEGIN
    SELECT c.* INTO class FROM pg_class c WHERE c.oid = relation;
    problem := CASE
        WHEN class.oid IS NULL THEN 'it does not exist'
        WHEN class.relpersistence = 't' THEN 'it is a temporary table, which only one session sees'
        WHEN class.relpersistence = 'u' THEN 'it is an unlogged table, which a crash empties without a trace'
        WHEN class.relkind = 'f' THEN 'it is a foreign table, whose changes happen elsewhere'
        WHEN class.relkind IN ('v', 'm') THEN 'it is a view: watch the tables that it reads'
        WHEN class.relkind NOT IN ('r', 'p') THEN 'it is not a table'
        WHEN class.relnamespace IN ('pg_catalog'::regnamespace, 'information_schema'::regnamespace, 'conveyor'::regnamespace)
             OR class.relnamespace = 'pg_toast'::regnamespace THEN 'it is a system table'
    END;
    IF problem IS NOT NULL THEN
        RAISE EXCEPTION 'cannot watch %: %', coalesce(relation::text, 'null'), problem
            USING ERRCODE = 'wrong_object_type', HINT = 'Only permanent, logged tables can be watched, partitioned ones too.';
    END IF;
    IF NOT pg_has_role(conveyor.caller(), class.relowner, 'USAGE')
       AND NOT (EXISTS (SELECT FROM pg_roles r WHERE r.oid = owner) AND pg_has_role(owner, class.relowner, 'USAGE')) THEN
        RAISE EXCEPTION 'must be owner of table %', relation
            USING ERRCODE = 'insufficient_privilege',
                  DETAIL = 'Watching a table puts triggers on it.',
                  HINT = format('It belongs to role %s: run SET ROLE %s first, or ask for membership in it.', class.relowner::regrole, class.relowner::regrole);
    END IF;
END
$$;

-- Writes the watch and puts the capture in place. Deliveries of the feed that exist already begin a re-check: what changed
-- while the table was watched by the old definition, or not at all, has no row in the log.
CREATE FUNCTION conveyor.put_watch(feed text, relation regclass, columns text[], documents text, derived boolean) RETURNS void
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    of_feed   conveyor.feed_definition;
    recorded  text[];
BEGIN
    SELECT f.* INTO of_feed FROM conveyor.feed_definition f WHERE f.feed = put_watch.feed FOR UPDATE;
    PERFORM conveyor.check_watchable(relation, CASE WHEN derived THEN of_feed.owner END);
    recorded := conveyor.analyse_watch(relation, columns, documents, of_feed.key_types::oid[], of_feed.search_path);
    INSERT INTO conveyor.watch AS w (feed, relation, columns, documents, recorded, derived)
    VALUES (feed, relation, columns, documents, recorded, derived)
    ON CONFLICT ON CONSTRAINT watch_pkey DO UPDATE
       SET columns = excluded.columns, documents = excluded.documents, recorded = excluded.recorded, derived = excluded.derived;
    PERFORM conveyor.install_capture(relation);
    PERFORM conveyor.recheck_feed(feed, format('%s is watched anew', relation));
END
$$;

-- Tables that the view reads and that nothing watches.
CREATE FUNCTION conveyor.warn_unwatched(feed text) RETURNS void
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    unwatched regclass;
BEGIN
    FOR unwatched IN
        SELECT r FROM conveyor.feed_definition f, unnest(f.relations) AS r
         WHERE f.feed = warn_unwatched.feed
           AND NOT EXISTS (SELECT FROM conveyor.watch w WHERE w.feed = f.feed AND w.relation = r)
         ORDER BY r::text
    LOOP
        RAISE WARNING 'changes of % do not reach the documents of feed "%"', unwatched, feed
            USING HINT = format('Run SELECT conveyor.add_watch(%L, %L, ARRAY[…columns the view uses…], ''SELECT …document key… FROM changed …''), '
                                'or take the table out of the feed''s option "ignore" with conveyor.alter_feed().', feed, unwatched);
    END LOOP;
END
$$;

-- add_watch
--   columns    an update that changes none of them is no change     documents  a query over the relation `changed` (one
--   row per old and per new image of the columns) that returns document keys
-- Tables touched: watch, capture, request and delivery_state (re-check), journal_entry; the relation gets its triggers,
-- under SHARE ROW EXCLUSIVE, which waits for the transactions that write to it.
CREATE FUNCTION conveyor.add_watch(feed text, relation regclass, columns text[], documents text) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    definition conveyor.feed_definition := conveyor.find_feed(feed);
    present    conveyor.watch;
    asked      text[];
    missing    text;
BEGIN
    PERFORM conveyor.check_owner(definition.owner, 'feed', feed);
    IF relation IS NULL OR documents IS NULL OR coalesce(cardinality(columns), 0) = 0 OR array_position(columns, NULL) IS NOT NULL THEN
        RAISE EXCEPTION 'a watch needs a relation, its columns and a query for the documents'
            USING ERRCODE = 'null_value_not_allowed',
                  HINT = format('Run SELECT conveyor.add_watch(%L, ''schema.table'', ARRAY[''column''], ''SELECT … FROM changed'').', feed);
    END IF;
    PERFORM conveyor.check_watchable(relation);
    SELECT string_agg(format('"%s"', c), ', ') INTO missing FROM unnest(columns) AS c
     WHERE NOT EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = relation AND a.attname = c AND a.attnum > 0 AND NOT a.attisdropped);
    IF missing IS NOT NULL THEN
        RAISE EXCEPTION 'table % has no column %', relation, missing
            USING ERRCODE = 'undefined_column', HINT = 'Name columns of the table itself, as they are written in pg_attribute.';
    END IF;
    asked := ARRAY(SELECT a.attname::text FROM pg_attribute a WHERE a.attrelid = relation AND a.attname = ANY (columns) AND a.attnum > 0 ORDER BY a.attnum);

    SELECT w.* INTO present FROM conveyor.watch w WHERE w.feed = add_watch.feed AND w.relation = add_watch.relation;
    IF FOUND AND NOT present.derived THEN
        PERFORM conveyor.check_same('watch', format('%s on %s', feed, relation),
            jsonb_build_object('columns', present.columns, 'documents', present.documents),
            jsonb_build_object('columns', asked, 'documents', documents),
            format('Run SELECT conveyor.drop_watch(%L, %L) first.', feed, relation));
        RETURN;
    END IF;
    PERFORM conveyor.put_watch(feed, relation, asked, documents, false);
    PERFORM conveyor.write_journal('add watch', feed, format('%s (%s): %s', relation, array_to_string(asked, ', '), documents));
    PERFORM conveyor.feed_adapts(s.feed) FROM conveyor.feed_state s WHERE s.feed = add_watch.feed AND s.trouble IS NOT NULL;
END
$$;
COMMENT ON FUNCTION conveyor.add_watch(text, regclass, text[], text) IS
    'say which changes of a table touch which documents; the same definition again does nothing';

-- drop_watch: what was said with add_watch() no longer holds; the watch that follows from the view takes its place, unless the
-- feed ignores the table. One that follows from the view itself is dropped by having the feed ignore the table from now on.
-- Tables touched: watch, feed_definition, capture, request and delivery_state (re-check), journal_entry.
CREATE FUNCTION conveyor.drop_watch(feed text, relation regclass) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    definition conveyor.feed_definition := conveyor.find_feed(feed);
    present    conveyor.watch;
BEGIN
    PERFORM conveyor.check_owner(definition.owner, 'feed', feed);
    SELECT w.* INTO present FROM conveyor.watch w WHERE w.feed = drop_watch.feed AND w.relation = drop_watch.relation;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'feed "%" does not watch %', feed, coalesce(relation::text, 'null')
            USING ERRCODE = 'undefined_object',
                  HINT = format('SELECT relation FROM conveyor.watch WHERE feed = %L lists what it watches.', feed);
    END IF;
    IF present.derived AND EXISTS (SELECT FROM pg_class c WHERE c.oid = relation) THEN
        UPDATE conveyor.feed_definition f
           SET options = f.options || jsonb_build_object('ignore', to_jsonb(conveyor.ignored(f.options) || relation::text))
         WHERE f.feed = drop_watch.feed;
    END IF;
    DELETE FROM conveyor.watch w WHERE w.feed = drop_watch.feed AND w.relation = drop_watch.relation;
    PERFORM conveyor.write_journal('drop watch', feed, relation::text);
    IF EXISTS (SELECT FROM conveyor.feed_state s WHERE s.feed = drop_watch.feed AND s.trouble IS NOT NULL) THEN
        PERFORM conveyor.feed_adapts(feed);
    ELSIF EXISTS (SELECT FROM pg_class c WHERE c.oid = definition.document_view) THEN
        PERFORM conveyor.follow_feed(feed);
    END IF;
    IF NOT EXISTS (SELECT FROM conveyor.watch w WHERE w.feed = drop_watch.feed AND w.relation = drop_watch.relation) THEN
        PERFORM conveyor.install_capture(relation);
        PERFORM conveyor.recheck_feed(feed, format('%s is no longer watched', relation));
        PERFORM conveyor.warn_unwatched(feed);
    END IF;
END
$$;
COMMENT ON FUNCTION conveyor.drop_watch(text, regclass) IS 'forget what add_watch() said; what follows from the view takes its place';
