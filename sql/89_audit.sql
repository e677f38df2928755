-- 89: the auditor: compares what feeds, jobs and captures rely on with the catalogs.

-- A table that feeds watch, or that their views read, may be gone; another one of its name may have taken its place.
CREATE FUNCTION conveyor.audit_watches() RETURNS TABLE (severity text, object text, problem text, remedy text)
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT 'error', format('feed %I', w.feed), format('the watched table with oid %s does not exist any more', w.relation::oid),
           format('SELECT conveyor.drop_watch(%L, %s::oid::regclass)', w.feed, w.relation::oid)
      FROM conveyor.watch w
     WHERE NOT EXISTS (SELECT FROM pg_class c WHERE c.oid = w.relation)
    UNION ALL
    SELECT 'error', format('feed %I', w.feed), format('watched column "%s" of table %s does not exist any more', missing, w.relation),
           format('SELECT conveyor.drop_watch(%1$L, %2$L); SELECT conveyor.add_watch(%1$L, %2$L, ARRAY[…], …)', w.feed, w.relation)
      FROM conveyor.watch w
      JOIN pg_class c ON c.oid = w.relation,
           LATERAL (SELECT unnest(w.columns) UNION SELECT unnest(w.recorded)) AS n(missing)
     WHERE NOT EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = w.relation AND a.attname = n.missing AND a.attnum > 0 AND NOT a.attisdropped)
    UNION ALL
    SELECT 'warning', format('feed %I', f.feed), format('its view reads %s, which the feed does not watch', r.relation),
           format('SELECT conveyor.add_watch(%L, %L, ARRAY[…], …)', f.feed, r.relation)
      FROM conveyor.feed_definition f,
           LATERAL unnest(f.relations) AS r(relation)
     WHERE EXISTS (SELECT FROM pg_class c WHERE c.oid = r.relation)
       AND NOT EXISTS (SELECT FROM conveyor.watch w WHERE w.feed = f.feed AND w.relation = r.relation)
       AND NOT (conveyor.ignored(f.options) && ARRAY[r.relation::text, (SELECT c.relname::text FROM pg_class c WHERE c.oid = r.relation),
                                                     (SELECT format('%I.%I', c.relnamespace::regnamespace, c.relname) FROM pg_class c WHERE c.oid = r.relation)]);
END;

-- Does a unique index hold the columns apart, whatever is done? Not a partial one, nor one that lets NULLs through.
CREATE FUNCTION conveyor.is_unique(relation oid, columns text[]) RETURNS boolean
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
RETURN EXISTS (SELECT FROM pg_index i
                WHERE i.indrelid = relation AND i.indisunique AND i.indisvalid AND i.indpred IS NULL AND i.indexprs IS NULL
                  -- Columns that are unique without the others are so with them.
                  AND ARRAY(SELECT a.attname::text FROM pg_attribute a WHERE a.attrelid = relation AND a.attnum = ANY (i.indkey[0:i.indnkeyatts - 1])) <@ columns
                  AND NOT EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = relation AND a.attnum = ANY (i.indkey[0:i.indnkeyatts - 1]) AND NOT a.attnotnull));

-- What a feed makes its documents of may have changed unseen, or in a way that it cannot follow.
CREATE FUNCTION conveyor.audit_feeds() RETURNS TABLE (severity text, object text, problem text, remedy text)
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT 'error', format('feed %I', s.feed), format('it cannot follow its view, and its deliveries wait: %s', s.trouble), s.remedy
      FROM conveyor.feed_state s
     WHERE s.trouble IS NOT NULL
    UNION ALL
    SELECT 'error', format('feed %I', f.feed), format('its view with oid %s does not exist any more', f.document_view::oid),
           format('SELECT conveyor.change_view(%L, ''schema.view'')', f.feed)
      FROM conveyor.feed_definition f
     WHERE NOT EXISTS (SELECT FROM pg_class c WHERE c.oid = f.document_view)
       AND NOT EXISTS (SELECT FROM conveyor.feed_state s WHERE s.feed = f.feed AND s.trouble IS NOT NULL)
    UNION ALL
    SELECT 'error', format('feed %I', s.feed), format('what its documents are made of has changed unseen: %s', u.changes), format('SELECT conveyor.adapt_feed(%L)', s.feed)
      FROM conveyor.feed_state s
      JOIN conveyor.feed_definition f USING (feed)
      JOIN pg_class c ON c.oid = f.document_view,
           LATERAL conveyor.changed_parts(s.parts, conveyor.document_parts(c.oid)) AS u(changes)
     WHERE s.trouble IS NULL AND u.changes IS NOT NULL
    UNION ALL
    SELECT 'warning', format('feed %I', w.feed), conveyor.swap_problem(w.feed, w.relation, w.newcomer),
           conveyor.swap_remedy(w.feed, w.relation, w.former, w.reader)
      FROM conveyor.swapped() AS w
    UNION ALL
    SELECT 'warning', format('delivery %I', d.delivery), format('its index was made before there were these columns: %s', m.columns),
           format('SELECT conveyor.rebuild(%L)', d.delivery)
      FROM conveyor.delivery_definition d
      JOIN conveyor.feed_definition f USING (feed)
      JOIN pg_class c ON c.oid = f.document_view,
           LATERAL conveyor.unmapped(d.delivery) AS m(columns)
     WHERE m.columns IS NOT NULL
    UNION ALL
    SELECT 'warning', format('feed %I', f.feed), format('nothing keeps (%s) of %s unique any more, and so the ids of the documents', array_to_string(f.root_key, ', '), f.root),
           format('ALTER TABLE %s ADD UNIQUE (%s)', f.root, (SELECT string_agg(quote_ident(k), ', ' ORDER BY n) FROM unnest(f.root_key) WITH ORDINALITY AS u(k, n)))
      FROM conveyor.feed_definition f
      JOIN pg_class c ON c.oid = f.root
     WHERE NOT conveyor.is_unique(f.root, f.root_key);
END;

-- Puts the capture in place, and has everything sent again that may have changed meanwhile.
CREATE FUNCTION conveyor.capture_remedy(relation regclass) RETURNS text
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
RETURN concat_ws(', ', format('SELECT conveyor.install_capture(%L::regclass)', relation),
                 (SELECT string_agg(format('conveyor.resync_all(%L)', d.delivery), ', ' ORDER BY d.delivery)
                    FROM conveyor.watch w JOIN conveyor.delivery_definition d USING (feed) WHERE w.relation = capture_remedy.relation));

CREATE FUNCTION conveyor.audit_captures() RETURNS TABLE (severity text, object text, problem text, remedy text)
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    WITH watched AS (
        SELECT DISTINCT n.relation::regclass FROM conveyor.capture_need n JOIN pg_class c ON c.oid = n.relation
    )
    SELECT 'error', format('table %s', w.relation), 'its changes are not captured', conveyor.capture_remedy(w.relation)
      FROM watched w
     WHERE NOT EXISTS (SELECT FROM conveyor.capture c WHERE c.relation = w.relation AND c.retired_at IS NULL)
    UNION ALL
    SELECT 'error', format('table %s', w.relation), 'its capture is not what feeds and jobs need', conveyor.capture_remedy(w.relation)
      FROM watched w
      JOIN conveyor.capture c ON c.relation = w.relation AND c.retired_at IS NULL,
           LATERAL conveyor.capture_needed(w.relation) AS n
     WHERE n.missing IS NULL
       AND (n.columns, n.recorded, n.types, n.nullable, n.numbers) IS DISTINCT FROM (c.columns, c.recorded, c.types, c.nullable, c.numbers)
    UNION ALL
    SELECT DISTINCT 'error', format('table %s', m.member::regclass), 'is unlogged: a crash empties it without a trace', format('ALTER TABLE %s SET LOGGED', m.member::regclass)
      FROM watched w, LATERAL conveyor.capture_members(w.relation) AS m
      JOIN pg_class c ON c.oid = m.member AND c.relpersistence = 'u'
    UNION ALL
    SELECT 'error', format('table %s', f.member::regclass), format('trigger "%s" %s', f.trigger, f.fault),
           conveyor.capture_remedy(c.relation)
      FROM conveyor.capture c
      JOIN pg_class k ON k.oid = c.relation,
           LATERAL conveyor.capture_faults(c.capture) AS f
     WHERE c.retired_at IS NULL
    UNION ALL
    SELECT 'warning', format('table %s', t.relation), format('trigger "%s" belongs to no capture', stray), format('DROP TRIGGER %I ON %s', stray, t.relation)
      FROM (SELECT DISTINCT tgrelid::regclass AS relation FROM pg_trigger
             WHERE tgfoid IN ('conveyor.capture()'::regprocedure, 'conveyor.capture_truncate()'::regprocedure)) AS t,
           LATERAL conveyor.capture_strays(t.relation) AS stray
    UNION ALL
    SELECT 'error', format('event trigger %s', n.name), 'is missing or not ENABLE ALWAYS', format('ALTER EVENT TRIGGER %s ENABLE ALWAYS', n.name)
      FROM (VALUES ('conveyor_capture_on_ddl'), ('conveyor_capture_on_drop'), ('conveyor_capture_on_rewrite'), ('conveyor_feeds_on_ddl'), ('conveyor_feeds_on_drop')) AS n(name)
     WHERE NOT EXISTS (SELECT FROM pg_event_trigger e WHERE e.evtname = n.name AND e.evtenabled = 'A');
END;

-- Is this the database that the deliveries belong to? An agent notices too, and waits.
CREATE FUNCTION conveyor.audit_identity() RETURNS TABLE (severity text, object text, problem text, remedy text)
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT 'error', format('database %I', d.datname), 'it is not the one that documents were delivered from (a restore, a promotion or a copy): nothing is sent',
           'SELECT conveyor.confirm_epoch()'
      FROM conveyor.identity i, pg_control_system() AS c, pg_database AS d
     WHERE d.datname = current_database()
       AND (NOT i.confirmed OR i.system_identifier <> c.system_identifier OR i.database <> d.oid OR i.timeline <> conveyor.timeline());
END;

-- audit: what no longer holds, and the command that mends it. Changes nothing.
CREATE FUNCTION conveyor.audit() RETURNS TABLE (severity text, object text, problem text, remedy text)
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT a.* FROM conveyor.audit_identity() AS a
    UNION ALL
    SELECT a.* FROM conveyor.audit_feeds() AS a
    UNION ALL
    SELECT a.* FROM conveyor.audit_watches() AS a
    UNION ALL
    SELECT a.* FROM conveyor.audit_captures() AS a
    UNION ALL
    SELECT a.* FROM conveyor.audit_migrations() AS a
    ORDER BY 1, 2, 3;
END;
COMMENT ON FUNCTION conveyor.audit() IS 'what no longer holds between feeds, jobs, captures and the tables, with the command that mends it';
