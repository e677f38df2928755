-- 37: what a feed's documents are made of, rows apart, as it was when one looked last. DDL can change documents without a
-- change of any row; how feeds adapt to that is in 38_adapt.sql.

CREATE TABLE conveyor.feed_state (
    feed           text PRIMARY KEY REFERENCES conveyor.feed_definition ON DELETE CASCADE,
    document_view  oid NOT NULL,
    view_name      text NOT NULL,                 -- qualified; a view that is dropped and made anew is known by it
    view_owner     oid NOT NULL,
    key_numbers    int2[] NOT NULL,               -- of the key's columns in the view: names change, numbers do not
    sources        oid[] NOT NULL,                -- views, tables, functions and types
    parts          jsonb NOT NULL,                -- see document_parts()
    names          jsonb NOT NULL,                -- of the views and tables: {"16384": "shop.orders"}
    former         jsonb NOT NULL DEFAULT '{}',   -- of those that were renamed: what they were called before
    trouble        text,                          -- why the feed cannot adapt; its deliveries wait
    remedy         text,
    CHECK ((trouble IS NULL) = (remedy IS NULL))
);
COMMENT ON TABLE conveyor.feed_state IS 'what feeds know of their views; where one is missing the feed came with a dump and has not been woken';

CREATE FUNCTION conveyor.whole_row_tables(document_view oid) RETURNS oid[]
    LANGUAGE c STABLE STRICT AS 'MODULE_PATHNAME', 'conveyor_whole_row_tables';

-- The view, the views in it, their tables, the functions that they call, and the types whose texts can be changed.
CREATE FUNCTION conveyor.document_sources(document_view oid) RETURNS TABLE (class oid, object oid)
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    WITH RECURSIVE reached (class, object) AS (
        SELECT 'pg_class'::regclass::oid, document_sources.document_view
        UNION
        SELECT next.class, next.object
          FROM reached r
         CROSS JOIN LATERAL (
            SELECT d.refclassid, d.refobjid
              FROM pg_rewrite w
              JOIN pg_depend d ON d.classid = 'pg_rewrite'::regclass AND d.objid = w.oid
             WHERE r.class = 'pg_class'::regclass AND w.ev_class = r.object AND w.ev_type = '1'
               AND d.refclassid IN ('pg_class'::regclass, 'pg_proc'::regclass)
            UNION ALL
            SELECT 'pg_type'::regclass::oid, a.atttypid
              FROM pg_attribute a
             WHERE r.class = 'pg_class'::regclass AND a.attrelid = r.object AND a.attnum > 0 AND NOT a.attisdropped AND a.atttypid >= 16384
            UNION ALL
            SELECT 'pg_type'::regclass::oid, n.type
              FROM pg_type t, LATERAL (VALUES (t.typelem), (t.typbasetype)) AS n(type)
             WHERE r.class = 'pg_type'::regclass AND t.oid = r.object AND n.type >= 16384
            UNION ALL
            SELECT 'pg_class'::regclass::oid, t.typrelid
              FROM pg_type t
             WHERE r.class = 'pg_type'::regclass AND t.oid = r.object AND t.typtype = 'c'
         ) AS next(class, object)
    )
    SELECT r.class, r.object FROM reached r;
END;

-- A stored query or function body without the places where its words stood in what was typed.
CREATE FUNCTION conveyor.without_places(tree pg_node_tree) RETURNS text
    LANGUAGE sql IMMUTABLE
    SET search_path = pg_catalog, pg_temp
RETURN regexp_replace(tree::text, ' :(location|stmt_location|stmt_len|list_start|list_end) -?\d+', '', 'g');

-- What makes the documents, each part with a text or a hash of it: two that are equal make the same documents of the same rows.
CREATE FUNCTION conveyor.document_parts(document_view oid) RETURNS jsonb
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    WITH source AS (
        SELECT s.class, s.object, c.relkind
          FROM conveyor.document_sources(document_parts.document_view) AS s
          LEFT JOIN pg_class c ON s.class = 'pg_class'::regclass AND c.oid = s.object
    ), part (name, content) AS (
        SELECT 'view ' || s.object,
               hashtextextended(conveyor.without_places(w.ev_action), 0)::text
          FROM source s
          JOIN pg_rewrite w ON w.ev_class = s.object AND w.ev_type = '1'
         WHERE s.relkind = 'v'
        UNION ALL
        SELECT 'columns ' || s.object, string_agg(format('%s %I %s %s', a.attnum, a.attname, a.atttypid, a.atttypmod), ', ' ORDER BY a.attnum)
          FROM source s
          JOIN pg_attribute a ON a.attrelid = s.object AND a.attnum > 0 AND NOT a.attisdropped
         WHERE s.relkind IN ('v', 'c') OR s.class = 'pg_class'::regclass AND s.object = ANY (conveyor.whole_row_tables(document_parts.document_view))
         GROUP BY s.object
        UNION ALL
        SELECT 'function ' || s.object, hashtextextended(concat_ws(' ', p.prosrc, p.probin, conveyor.without_places(p.prosqlbody), p.proconfig::text), 0)::text
          FROM source s
          JOIN pg_proc p ON p.oid = s.object
         WHERE s.class = 'pg_proc'::regclass AND s.object >= 16384
        UNION ALL
        SELECT 'value ' || e.oid, e.enumlabel
          FROM source s
          JOIN pg_enum e ON e.enumtypid = s.object
         WHERE s.class = 'pg_type'::regclass
    )
    SELECT coalesce(jsonb_object_agg(p.name, p.content), '{}') FROM part p;
END;

-- What has changed from one to the other, in words; NULL: nothing that concerns documents. A new value of an enumeration does not.
CREATE FUNCTION conveyor.changed_parts(before jsonb, after jsonb) RETURNS text
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    WITH changed AS (
        SELECT split_part(k.name, ' ', 1) AS kind, split_part(k.name, ' ', 2)::oid AS object
          FROM (SELECT jsonb_object_keys(before) UNION SELECT jsonb_object_keys(after)) AS k(name)
         WHERE before -> k.name IS DISTINCT FROM after -> k.name
           AND (before ? k.name OR k.name NOT LIKE 'value %')
    ), named AS (
        SELECT CASE c.kind
                   WHEN 'function' THEN format('function %s', c.object::regprocedure)
                   WHEN 'value' THEN format('type %s', (SELECT e.enumtypid::regtype FROM pg_enum e WHERE e.oid = c.object))
                   ELSE CASE (SELECT k.relkind FROM pg_class k WHERE k.oid = c.object) WHEN 'v' THEN 'view ' WHEN 'c' THEN 'type ' ELSE 'table ' END
                        || c.object::regclass
               END AS name
          FROM changed c
         -- What is not among the sources any more went because another part has changed, which is named.
         WHERE after ? (c.kind || ' ' || c.object)
    )
    SELECT coalesce((SELECT string_agg(DISTINCT n.name, ', ' ORDER BY n.name) || ' changed' FROM named n), 'the view changed')
     WHERE EXISTS (SELECT FROM changed);
END;

CREATE FUNCTION conveyor.source_names(sources oid[]) RETURNS jsonb
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
RETURN (SELECT coalesce(jsonb_object_agg(c.oid::text, c.oid::regclass::text), '{}') FROM pg_class c WHERE c.oid = ANY (sources) AND c.relkind IN ('r', 'p', 'v'));

-- What was renamed keeps its former name until that name is its own again, or the view does not read it any more.
CREATE FUNCTION conveyor.former_names(former jsonb, names jsonb, present jsonb) RETURNS jsonb
    LANGUAGE sql IMMUTABLE
    SET search_path = pg_catalog, pg_temp
RETURN (SELECT coalesce(jsonb_object_agg(n.key, coalesce(former -> n.key, names -> n.key)), '{}')
          FROM jsonb_each(present) AS n
         WHERE coalesce(former -> n.key, names -> n.key) <> n.value);

-- Looks at the view as it is and remembers that.
CREATE FUNCTION conveyor.note_feed(feed text) RETURNS void
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    definition CONSTANT conveyor.feed_definition := conveyor.find_feed(feed);
    read       CONSTANT oid[] := ARRAY(SELECT s.object FROM conveyor.document_sources(definition.document_view) AS s ORDER BY 1);
BEGIN
    INSERT INTO conveyor.feed_state AS s (feed, document_view, view_name, view_owner, key_numbers, sources, parts, names)
    SELECT feed, c.oid, c.oid::regclass::text, c.relowner,
           ARRAY(SELECT a.attnum FROM unnest(definition.key) WITH ORDINALITY AS k(name, number)
                   JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = k.name AND a.attnum > 0 ORDER BY k.number),
           read, conveyor.document_parts(c.oid), conveyor.source_names(read)
      FROM pg_class c
     WHERE c.oid = definition.document_view
    ON CONFLICT ON CONSTRAINT feed_state_pkey DO UPDATE
       SET document_view = excluded.document_view, view_name = excluded.view_name, view_owner = excluded.view_owner,
           key_numbers = excluded.key_numbers, sources = excluded.sources, parts = excluded.parts, names = excluded.names,
           former = conveyor.former_names(s.former, s.names, excluded.names);
END
$$;

-- While a feed is in trouble: what it has come to read, where the trouble may be mended, and names. The rest stays as it was when all
-- was well, to be compared with.
CREATE FUNCTION conveyor.note_sources(feed text) RETURNS void
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    definition CONSTANT conveyor.feed_definition := conveyor.find_feed(feed);
    read       CONSTANT oid[] := ARRAY(SELECT unnest(s.sources) FROM conveyor.feed_state s WHERE s.feed = definition.feed
                                       UNION SELECT d.object FROM conveyor.document_sources(definition.document_view) AS d);
    present    CONSTANT jsonb := conveyor.source_names(read);
BEGIN
    UPDATE conveyor.feed_state s
       SET sources = read, names = present, former = conveyor.former_names(s.former, s.names, present)
     WHERE s.feed = definition.feed;
END
$$;
