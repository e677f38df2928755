-- 39: explain_feed(): what a feed follows, for people.

-- Parameters: a query, the types of its parameters (arrays); the table whose columns `changed` has, NULL: there is no `changed`; whose
-- rights and which search path it is planned with. Returns: lines of its plan, and what is read as a whole for want of an index.
CREATE FUNCTION conveyor.explain_query(query text, parameters oid[], changed oid, columns text[], owner oid, search_path text)
    RETURNS TABLE (line text, is_warning boolean)
    LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'conveyor_explain_query';

-- How one of a feed's queries is carried out, below a heading.
CREATE FUNCTION conveyor.explain_lines(definition conveyor.feed_definition, query text, parameters oid[], changed oid, columns text[]) RETURNS SETOF text
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN QUERY
    SELECT CASE WHEN l.is_warning THEN '  warning: ' ELSE '    ' END || l.line
      FROM conveyor.explain_query(query, parameters, changed, columns, definition.owner::oid, definition.search_path) WITH ORDINALITY AS l(line, is_warning, number)
     ORDER BY l.number;
EXCEPTION WHEN OTHERS THEN
    RETURN NEXT format('  warning: it cannot be planned: %s', SQLERRM);
END
$$;

-- explain_feed
-- Returns: each table that the feed watches, the columns that count, the query that leads to documents, its plan, and what
-- is missing. Plans are those that the server would choose now.
CREATE FUNCTION conveyor.explain_feed(feed text) RETURNS SETOF text
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    definition conveyor.feed_definition := conveyor.find_feed(feed);
    key        CONSTANT text := (SELECT string_agg(quote_ident(k.name), ', ' ORDER BY k.number) FROM unnest(definition.key) WITH ORDINALITY AS k(name, number));
    watched    conveyor.watch;
    unwatched  regclass;
BEGIN
    PERFORM conveyor.check_owner(definition.owner, 'feed', feed);
    RETURN NEXT format('feed %s: one document for each row of %s, key %s', quote_ident(feed), definition.document_view, key);
    FOR watched IN SELECT w.* FROM conveyor.watch w WHERE w.feed = explain_feed.feed ORDER BY w.relation::text LOOP
        RETURN NEXT '';
        RETURN NEXT format('%s (%s)%s', watched.relation, (SELECT string_agg(quote_ident(c.name), ', ' ORDER BY c.number) FROM unnest(watched.columns) WITH ORDINALITY AS c(name, number)),
                           CASE WHEN watched.derived THEN '' ELSE ', as add_watch() said' END);
        RETURN QUERY SELECT '  ' || l.line FROM regexp_split_to_table(watched.documents, E'\n') WITH ORDINALITY AS l(line, number) ORDER BY l.number;
        RETURN QUERY SELECT l FROM conveyor.explain_lines(definition, format(E'SELECT * FROM (\n%s\n) AS q', watched.documents), '{}', watched.relation::oid, watched.recorded) AS l;
    END LOOP;
    FOR unwatched IN SELECT r FROM unnest(definition.relations) AS r
                      WHERE NOT EXISTS (SELECT FROM conveyor.watch w WHERE w.feed = explain_feed.feed AND w.relation = r) ORDER BY r::text LOOP
        RETURN NEXT '';
        RETURN NEXT format('%s', unwatched);
        RETURN NEXT '  not watched: its changes reach no document by themselves';
    END LOOP;
    RETURN NEXT '';
    RETURN NEXT 'reading documents by their keys';
    RETURN QUERY SELECT l FROM conveyor.explain_lines(definition,
        (SELECT format('SELECT v.* FROM %s AS v WHERE %s', definition.document_view, string_agg(format('v.%I = ANY ($%s)', k.name, k.number), ' AND ' ORDER BY k.number))
           FROM unnest(definition.key) WITH ORDINALITY AS k(name, number)),
        ARRAY(SELECT t.typarray FROM unnest(definition.key_types) WITH ORDINALITY AS k(type, number) JOIN pg_type t ON t.oid = k.type ORDER BY k.number), NULL, NULL) AS l;
END
$$;
COMMENT ON FUNCTION conveyor.explain_feed(text) IS
    'what a feed watches, how a change leads to its documents, the plans of that, and the indexes that are missing';
