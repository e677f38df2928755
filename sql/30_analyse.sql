-- What create_feed() and add_watch() must know of a view and of a key query.

-- Parameters: the view of the documents; the view's columns that are its key, NULL: to be found; the table that the key
-- comes from, NULL: to be found. Returns: all of that complete, with every base table that the view reads.
CREATE FUNCTION conveyor.analyse_feed(view regclass, key text[], root regclass,
  OUT key text[], OUT key_types oid[], OUT root oid, OUT root_key text[], OUT relations oid[]) RETURNS record
LANGUAGE c STABLE AS 'MODULE_PATHNAME', 'conveyor_analyse_feed';
COMMENT ON FUNCTION conveyor.analyse_feed(regclass, text[], regclass) IS
  'check and complete what a feed is made of';

-- Parameters: the table to watch; the columns that make `changed`; the key query; the types of the feed's key; the search
-- path that the query will run with, NULL: the present one. Returns: those of the columns that the query reads.
CREATE FUNCTION conveyor.analyse_watch(relation regclass, columns text[], documents text, key_types oid[],
  search_path text DEFAULT NULL) RETURNS text[]
LANGUAGE c STABLE AS 'MODULE_PATHNAME', 'conveyor_analyse_watch';
COMMENT ON FUNCTION conveyor.analyse_watch(regclass, text[], text, oid[], text) IS
  'check a key query and tell which columns of changed it reads';

-- Parameters: the view of the documents; the view's columns that are its key; names of functions and relations that need not
-- be followed. Returns rows of several kinds: 'watch' (relation, columns, documents: what add_watch() takes), 'problem' (object,
-- relation or NULL, columns, place, reason, which follows "it"), 'ignored' (object, relation), 'unused' (object: a name in `ignore`
-- that nothing has).
CREATE FUNCTION conveyor.follow_view(view regclass, key text[], ignore text[]) RETURNS TABLE (kind text, object text, relation oid,
  columns text[], documents text, place text, reason text)
LANGUAGE c STABLE AS 'MODULE_PATHNAME', 'conveyor_follow_view';
COMMENT ON FUNCTION conveyor.follow_view(regclass, text[], text[]) IS
  'which changes of which tables touch which documents of a view';

REVOKE ALL ON FUNCTION conveyor.follow_view(regclass, text[], text[]) FROM PUBLIC;
REVOKE ALL ON FUNCTION conveyor.analyse_feed(regclass, text[], regclass) FROM PUBLIC;
REVOKE ALL ON FUNCTION conveyor.analyse_watch(regclass, text[], text, oid[], text) FROM PUBLIC;

-- Parameters: a feed. Returns: the columns of its view in their order: the name of the base type in pg_type (of an array:
-- of its elements), or 'enum' or 'composite' for types of those kinds. Reads: feed_definition and the catalogs.
CREATE FUNCTION conveyor.document_columns(feed text) RETURNS TABLE (name text, type text, is_array boolean)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  RETURN QUERY
  WITH RECURSIVE resolved AS (
    SELECT a.attnum, a.attname, a.atttypid AS oid, false AS in_array
      FROM conveyor.feed_definition AS f
      JOIN pg_attribute AS a ON a.attrelid = f.document_view
     WHERE f.feed = document_columns.feed AND a.attnum > 0 AND NOT a.attisdropped
    UNION ALL
    SELECT r.attnum, r.attname, CASE t.typtype WHEN 'd' THEN t.typbasetype ELSE t.typelem END, r.in_array OR t.typtype <> 'd'
      FROM resolved AS r
      JOIN pg_type AS t ON t.oid = r.oid
     WHERE t.typtype = 'd' OR t.typsubscript = 'array_subscript_handler'::regproc
  )
  SELECT r.attname::text,
         CASE t.typtype WHEN 'e' THEN 'enum' WHEN 'c' THEN 'composite' ELSE t.typname::text END,
         r.in_array
    FROM resolved AS r
    JOIN pg_type AS t ON t.oid = r.oid
   WHERE t.typtype <> 'd' AND t.typsubscript <> 'array_subscript_handler'::regproc
   ORDER BY r.attnum;
END
$$;
COMMENT ON FUNCTION conveyor.document_columns(text) IS 'names and types of a feed''s columns, as mappings are made of them';
REVOKE ALL ON FUNCTION conveyor.document_columns(text) FROM PUBLIC;
