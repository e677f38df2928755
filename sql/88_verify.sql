-- 88: comparing a job's source with its target, beside writers.
--
-- Ranges of the key are compared by the number of their rows and a hash of the rows' texts that does not depend on their order, both
-- sides in one snapshot. A range that differs is gone through in smaller ones, and what differs there key by key is looked at again in a
-- later snapshot: what the job's cursor has not passed in it is on its way and no difference.
--
-- Repairs come at the end, when all is compared: they need the job's window lock, which keeps windows out and cannot be given back
-- before the transaction ends. Keys that differ are kept until then, a bounded number of them, and looked at once more.
--
-- What users wrote (the target query, the job's condition) runs with the caller's rights, who is the migration's owner.

CREATE FUNCTION conveyor.analyse_target(query text, search_path text, OUT query text, OUT names text[], OUT types oid[], OUT collations oid[])
    LANGUAGE c STABLE STRICT AS 'MODULE_PATHNAME', 'conveyor_analyse_target';

-- The source's columns that a target query names are compared; both sides as a subquery with these columns.
CREATE TYPE conveyor.comparison AS (
    job          int,
    follow       boolean,
    search_path  text,
    source       text,      -- "(SELECT …)"
    target       text,
    columns      text[],
    key          text[],
    key_types    text[]     -- for literals
);

-- What verify_job() must know of a job. The caller's session must be the owner's: it runs the job's condition.
CREATE FUNCTION conveyor.verify_begin(migration text, job text, OUT definition conveyor.job_definition, OUT condition text, OUT follows boolean,
                                      OUT unverified text)
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    state text;
BEGIN
    definition := conveyor.find_job(migration, job);
    PERFORM conveyor.check_owner_session(migration);
    SELECT s.state, s.cursor IS NOT NULL, s.unverified INTO state, follows, unverified FROM conveyor.job_state s WHERE s.id = definition.id;
    IF state IS NULL OR state NOT IN ('following', 'finished') THEN
        RAISE EXCEPTION 'cannot verify job "%" of migration "%": it is %', job, migration, coalesce(state, 'planned')
            USING ERRCODE = 'object_not_in_prerequisite_state', DETAIL = 'Not every row has been copied yet.',
                  HINT = format('SELECT job, state, percent, eta FROM conveyor.job_status WHERE migration = %L tells how far it is.', migration);
    ELSIF NOT EXISTS (SELECT FROM pg_class c WHERE c.oid = definition.source) THEN
        RAISE EXCEPTION 'the source of job "%" does not exist any more', job USING ERRCODE = 'undefined_table';
    END IF;
    condition := conveyor.job_option(definition.id, 'where');
END
$$;

CREATE FUNCTION conveyor.comparison_of(definition conveyor.job_definition, condition text, follows boolean, target_query text) RETURNS conveyor.comparison
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    target  record;
    c       conveyor.comparison;
    problem text;
    wrong   record;
BEGIN
    SELECT a.* INTO target FROM conveyor.analyse_target(target_query, definition.search_path) AS a;
    SELECT string_agg(format('"%s"', n.name), ', ' ORDER BY n.name) INTO problem FROM unnest(target.names) AS n(name)
     WHERE NOT EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = definition.source AND a.attname = n.name AND a.attnum > 0 AND NOT a.attisdropped);
    IF problem IS NOT NULL THEN
        RAISE EXCEPTION '% has no column %', definition.source, problem
            USING ERRCODE = 'undefined_column', DETAIL = 'Columns of the target query are compared with the source''s columns of the same names.',
                  HINT = 'Name them so, for example: SELECT id, total AS amount FROM shop.orders';
    END IF;
    SELECT string_agg(format('"%s"', k.name), ', ' ORDER BY k.n) INTO problem FROM unnest(definition.key) WITH ORDINALITY AS k(name, n)
     WHERE k.name <> ALL (target.names);
    IF problem IS NOT NULL THEN
        RAISE EXCEPTION 'target query has no column %', problem
            USING ERRCODE = 'undefined_column', DETAIL = 'Rows are compared by the job''s key, which must be among its columns.';
    END IF;
    SELECT n.name INTO wrong FROM unnest(target.names) AS n(name) GROUP BY n.name HAVING count(*) > 1;
    IF FOUND THEN
        RAISE EXCEPTION 'target query has column "%" twice', wrong.name USING ERRCODE = 'duplicate_column';
    END IF;
    SELECT k.name, t.type, format_type(k.type, NULL) AS key_type INTO wrong
      FROM unnest(definition.key, definition.key_types::oid[]) AS k(name, type)
      JOIN unnest(target.names, target.types) AS t(name, type) ON t.name = k.name
      JOIN pg_type kt ON kt.oid = k.type JOIN pg_type tt ON tt.oid = t.type
     WHERE kt.typcategory <> tt.typcategory;
    IF FOUND THEN
        RAISE EXCEPTION 'column "%" of the target query is of type %, and of type % in the job''s key', wrong.name, format_type(wrong.type, NULL), wrong.key_type
            USING ERRCODE = 'datatype_mismatch', HINT = format('Cast it: %I::%s.', wrong.name, wrong.key_type);
    END IF;

    c.job := definition.id;
    c.follow := follows;
    c.search_path := definition.search_path || CASE WHEN definition.search_path ~ 'pg_temp' THEN '' WHEN definition.search_path ~ '^\s*$' THEN 'pg_catalog, pg_temp' ELSE ', pg_temp' END;
    c.columns := target.names;
    c.key := definition.key;
    c.key_types := ARRAY(SELECT format_type(t, NULL) FROM unnest(definition.key_types::oid[]) WITH ORDINALITY AS k(t, n) ORDER BY n);
    c.source := format('(SELECT s.* FROM %s AS s%s)', definition.source, E' WHERE (\n' || condition || E'\n)');
    c.target := format(E'(\n%s\n)', target.query);
    -- Both sides in one order: where the target's key has another collation, by the source's.
    IF EXISTS (SELECT FROM unnest(c.key) AS k(name) JOIN pg_attribute a ON a.attrelid = definition.source AND a.attname = k.name
                 JOIN unnest(target.names, target.collations) AS t(name, collated) ON t.name = k.name WHERE t.collated <> a.attcollation) THEN
        c.target := format('(SELECT %s FROM %s AS t)',
            (SELECT string_agg(format('t.%1$I', n.name) || CASE WHEN n.name = ANY (c.key) AND a.attcollation <> 0 AND a.attcollation <> n.collated
                                                                THEN format(' COLLATE %s AS %I', a.attcollation::regcollation, n.name) ELSE '' END, ', ' ORDER BY n.n)
               FROM unnest(target.names, target.collations) WITH ORDINALITY AS n(name, collated, n)
               JOIN pg_attribute a ON a.attrelid = definition.source AND a.attname = n.name), c.target);
    END IF;
    RETURN c;
END
$$;

-- Conditions for first < key <= last on the columns of `alias`. The first column alone is there for the planner, who does not see that
-- two comparisons of rows enclose a range.
CREATE FUNCTION conveyor.comparison_range(c conveyor.comparison, alias text, first text[], last text[]) RETURNS text
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
RETURN (SELECT concat_ws(' AND ', 'true',
                         CASE WHEN first IS NOT NULL THEN format('(%s) > (%s)', k.columns, k.firsts) END,
                         CASE WHEN last IS NOT NULL THEN format('(%s) <= (%s)', k.columns, k.lasts) END,
                         CASE WHEN cardinality(first) > 1 THEN format('%s.%I >= %L::%s', alias, (c).key[1], first[1], (c).key_types[1]) END,
                         CASE WHEN cardinality(last) > 1 THEN format('%s.%I <= %L::%s', alias, (c).key[1], last[1], (c).key_types[1]) END)
          FROM (SELECT string_agg(format('%s.%I', alias, u.name), ', ' ORDER BY u.n) AS columns,
                       string_agg(format('%L::%s', u.low, u.type), ', ' ORDER BY u.n) AS firsts,
                       string_agg(format('%L::%s', u.high, u.type), ', ' ORDER BY u.n) AS lasts
                  FROM unnest((c).key, (c).key_types, first, last) WITH ORDINALITY AS u(name, type, low, high, n)) AS k);

-- "s.a::text, s.b::text" for the columns of a list.
CREATE FUNCTION conveyor.comparison_texts(alias text, columns text[]) RETURNS text
    LANGUAGE sql IMMUTABLE
    SET search_path = pg_catalog, pg_temp
RETURN (SELECT string_agg(format('%s.%I::text', alias, u.name), ', ' ORDER BY u.n) FROM unnest(columns) WITH ORDINALITY AS u(name, n));

-- Conditions for single keys, each a JSON array of the texts of its columns. Of several columns, each is compared with all that there are of it,
-- which an index can answer, and what that is too much is taken out by the whole key's text.
CREATE FUNCTION conveyor.comparison_keys(c conveyor.comparison, alias text, keys text[]) RETURNS text
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
RETURN (SELECT concat_ws(' AND ', string_agg(format('%s.%I IN (%s)', alias, k.name,
                                                    (SELECT string_agg(DISTINCT format('%L::%s', u.key::jsonb ->> (k.n - 1)::int, k.type), ', ') FROM unnest(keys) AS u(key))), ' AND ' ORDER BY k.n),
                         CASE WHEN count(*) > 1 THEN format('pg_catalog.array_to_json(ARRAY[%s])::text IN (%s)', conveyor.comparison_texts(alias, (c).key),
                                                            (SELECT string_agg(quote_literal(u.key), ', ') FROM unnest(keys) AS u(key))) END)
          FROM unnest((c).key, (c).key_types) WITH ORDINALITY AS k(name, type, n));

-- Where a range ends that has `rows` rows on neither side more: the key so many rows behind `after`, of the side where it is lower.
-- No row: fewer are left on both.
CREATE FUNCTION conveyor.comparison_end_sql(c conveyor.comparison, after text[], rows int) RETURNS text
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    names CONSTANT text := (SELECT string_agg(format('k%s', n), ', ' ORDER BY n) FROM generate_series(1, cardinality(c.key)) AS n);
    side  CONSTANT text := '(SELECT ARRAY[%1$s], %2$s FROM %3$s AS %4$s WHERE %5$s ORDER BY %6$s OFFSET %7$s LIMIT 1)';
    result text;
BEGIN
    SELECT string_agg(format(side, conveyor.comparison_texts(s.alias, c.key),
                             (SELECT string_agg(format('%s.%I', s.alias, k.name), ', ' ORDER BY k.n) FROM unnest(c.key) WITH ORDINALITY AS k(name, n)),
                             s.relation, s.alias, conveyor.comparison_range(c, s.alias, after, NULL),
                             (SELECT string_agg(format('%s.%I', s.alias, k.name), ', ' ORDER BY k.n) FROM unnest(c.key) WITH ORDINALITY AS k(name, n)),
                             rows - 1), ' UNION ALL ')
      INTO result FROM (VALUES ('s', c.source), ('t', c.target)) AS s(alias, relation);
    RETURN format('SELECT b.parts, NULL::text, NULL::text FROM (%s) AS b(parts, %s) ORDER BY %2$s LIMIT 1', result, names);
END
$$;

-- One row where the range differs: the numbers of rows of both sides, for people.
CREATE FUNCTION conveyor.comparison_hash_sql(c conveyor.comparison, first text[], last text[]) RETURNS text
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
RETURN (SELECT format('SELECT NULL::text[], s.n::text, t.n::text FROM %s, %s WHERE (s.n, s.hash) IS DISTINCT FROM (t.n, t.hash)', max(q.q) FILTER (WHERE q.alias = 's'),
                      max(q.q) FILTER (WHERE q.alias = 't'))
          FROM (SELECT s.alias,
                       format('(SELECT pg_catalog.count(*) AS n, pg_catalog.sum(pg_catalog.hashtextextended(ROW(%1$s)::text COLLATE pg_catalog."C", 0)) AS hash'
                              ' FROM %2$s AS %3$s WHERE %4$s) AS %3$s',
                              conveyor.comparison_texts(s.alias, (c).columns), s.relation, s.alias, conveyor.comparison_range(c, s.alias, first, last)) AS q
                  FROM (VALUES ('s', (c).source), ('t', (c).target)) AS s(alias, relation)) AS q);

-- What differs among the rows for which these conditions hold: parts of the key, problem, detail. Keys whose changes are on their way,
-- as seen in the very snapshot that the rows are read in, come as "pending".
CREATE FUNCTION conveyor.comparison_list_sql(c conveyor.comparison, of_source text, of_target text) RETURNS text
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
RETURN format($sql$
WITH s AS (SELECT ARRAY[%1$s] AS parts, ARRAY[%2$s] AS texts, 1::bigint AS n FROM %3$s AS s WHERE %4$s),
     t AS (SELECT u.*, pg_catalog.row_number() OVER (PARTITION BY u.parts) AS n FROM (SELECT ARRAY[%5$s] AS parts, ARRAY[%6$s] AS texts FROM %7$s AS t WHERE %8$s) AS u),
     d AS MATERIALIZED (
         SELECT coalesce(s.parts, t.parts) AS parts,
                CASE WHEN t.parts IS NULL THEN 'missing' WHEN s.parts IS NULL THEN 'extra' ELSE 'different' END AS problem,
                CASE WHEN t.n > 1 THEN 'the target has this key more than once'
                     WHEN s.parts IS NOT NULL AND t.parts IS NOT NULL THEN conveyor.difference_of(%9$L, s.texts, t.texts) END AS detail
           FROM s FULL JOIN t ON s.parts = t.parts AND s.n = t.n
          WHERE s.texts IS DISTINCT FROM t.texts),
     p AS MATERIALIZED (SELECT %10$s AS pending)
SELECT d.parts, CASE WHEN p.pending[d.number] THEN 'pending' ELSE d.problem END, d.detail
  FROM (SELECT d.*, pg_catalog.row_number() OVER (ORDER BY d.parts) AS number FROM d) AS d, p
 ORDER BY d.number$sql$,
    conveyor.comparison_texts('s', (c).key), conveyor.comparison_texts('s', (c).columns), (c).source, of_source,
    conveyor.comparison_texts('t', (c).key), conveyor.comparison_texts('t', (c).columns), (c).target, of_target,
    (c).columns,
    CASE WHEN (c).follow THEN format('(SELECT conveyor.job_pending(%s, pg_catalog.array_agg(d.parts ORDER BY d.parts)) FROM d)', (c).job) ELSE 'NULL::boolean[]' END);

-- "amount: 10 in the source, 11 in the target; …"
CREATE FUNCTION conveyor.difference_of(columns text[], source text[], target text[]) RETURNS text
    LANGUAGE sql IMMUTABLE
    SET search_path = pg_catalog, pg_temp
RETURN (SELECT string_agg(format('%s: %s in the source, %s in the target', u.name, coalesce(quote_literal(left(u.s, 60)), 'NULL'), coalesce(quote_literal(left(u.t, 60)), 'NULL')), '; ' ORDER BY u.n)
          FROM unnest(columns, source, target) WITH ORDINALITY AS u(name, s, t, n) WHERE u.s IS DISTINCT FROM u.t);

-- Which of the keys have changes that the job has still to apply, in the snapshot of the calling statement (STABLE, all through).
CREATE FUNCTION conveyor.follow_pending(job int, cursor pg_snapshot, captures int[], keys text[]) RETURNS boolean[]
    LANGUAGE c STABLE STRICT AS 'MODULE_PATHNAME', 'conveyor_follow_pending';
CREATE FUNCTION conveyor.job_pending(job int, keys text[]) RETURNS boolean[]
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM conveyor.check_job_owner(job);
    RETURN (SELECT conveyor.follow_pending(s.id, s.cursor, conveyor.job_captures(s.id), keys) FROM conveyor.job_state s WHERE s.id = job_pending.job);
END
$$;

-- apply_keys: the job's delete_statement for those of the keys that the source does not have, its statement for the others, as the
-- caller. Takes the job's window lock shared until the end of the transaction.
CREATE FUNCTION conveyor.apply_keys(job int, keys text[]) RETURNS void
    LANGUAGE c VOLATILE STRICT AS 'MODULE_PATHNAME', 'conveyor_apply_keys';
COMMENT ON FUNCTION conveyor.apply_keys(int, text[]) IS 'run a job''s statements for single keys; verify_job() repairs by it';

CREATE FUNCTION conveyor.repair_begin(job int, OUT delete_statement text)
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    definition conveyor.job_definition := conveyor.find_job(job);
BEGIN
    PERFORM conveyor.check_owner_session(definition.migration);
    IF definition.statement IS NULL THEN
        RAISE EXCEPTION 'job "%" cannot be repaired: it has a call, which takes ranges', definition.job USING ERRCODE = 'feature_not_supported';
    END IF;
    delete_statement := definition.options ->> 'delete_statement';
END
$$;

-- Runs one of the queries above: with the job's search path, and texts that do not depend on the session.
CREATE FUNCTION conveyor.compare(c conveyor.comparison, query text) RETURNS TABLE (parts text[], one text, two text)
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
    SET "TimeZone" = 'UTC' SET "DateStyle" = 'ISO, MDY' SET "IntervalStyle" = 'iso_8601' SET extra_float_digits = 1 SET bytea_output = 'hex'
    SET lc_monetary = 'C' SET jit = off
AS $$
BEGIN
    PERFORM pg_catalog.set_config('search_path', c.search_path, true);
    RETURN QUERY EXECUTE query;
END
$$;

-- The target has been found to have no rows too many. Tables touched: job_state.
CREATE FUNCTION conveyor.verify_end(job int, unverified text) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM conveyor.check_job_owner(job);
    UPDATE conveyor.job_state s SET unverified = NULL, warning = CASE WHEN s.warning NOT LIKE 'the copy is made again: %' THEN s.warning END, updated_at = clock_timestamp()
     WHERE s.id = job AND s.unverified = verify_end.unverified;
END
$$;

-- Repairs the keys that still differ: runs the job's statement for them, or its delete_statement. Returns those, and what has become of each.
CREATE FUNCTION conveyor.verify_repair(c conveyor.comparison, keys text[], deletes boolean) RETURNS TABLE (parts text[], problem text, detail text)
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    list CONSTANT text := conveyor.comparison_list_sql(c, conveyor.comparison_keys(c, 's', keys), conveyor.comparison_keys(c, 't', keys));
    differences jsonb := (SELECT jsonb_agg(jsonb_build_array(d.parts, d.one, d.two)) FROM conveyor.compare(c, list) AS d);
    wrong  text[] := (SELECT array_agg(ARRAY(SELECT jsonb_array_elements_text(e -> 0)))
                        FROM jsonb_array_elements(differences) AS e WHERE e ->> 1 <> 'pending' AND (deletes OR e ->> 1 <> 'extra'));
    remain jsonb;
BEGIN
    IF wrong IS NOT NULL THEN
        PERFORM conveyor.apply_keys(c.job, wrong);
        remain := (SELECT jsonb_agg(to_jsonb(d.parts)) FROM conveyor.compare(c, list) AS d WHERE d.one <> 'pending');
    END IF;
    RETURN QUERY
    SELECT ARRAY(SELECT jsonb_array_elements_text(e -> 0)), e ->> 1,
           CASE WHEN e ->> 1 = 'pending' THEN e ->> 2
                ELSE concat_ws('; ', e ->> 2, CASE WHEN e ->> 1 = 'extra' AND NOT deletes THEN 'not repaired: the job has no delete_statement'
                                                   WHEN coalesce(remain @> jsonb_build_array(e -> 0), false) THEN 'not repaired'
                                                   ELSE 'repaired' END) END
      FROM jsonb_array_elements(differences) WITH ORDINALITY AS u(e, n) ORDER BY n;
END
$$;

-- verify_job
--   target_query  SELECT of the target's rows, with the names of the source's columns; the job's key must be among them
--   repair        run the job's statement, or its delete_statement, for what differs, for 10,000 keys at most
-- Returns what differs: the key, whether the target misses it, has it too many, or has other values, and which. With `repair` that is
-- what was found; the detail says whether it was repaired. Windows and copy batches are kept out only while it repairs, at the end.
-- Tables touched: with `repair` whatever the job's statements touch.
CREATE FUNCTION conveyor.verify_job(migration text, job text, target_query text, repair boolean DEFAULT false)
    RETURNS TABLE (key text, problem text, detail text)
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    wide   CONSTANT int := 10000;      -- rows of a range that is compared by its hash,
    narrow CONSTANT int := 500;        -- and of one that is compared key by key
    most   CONSTANT int := 10000;      -- keys that one call repairs,
    few    CONSTANT int := 200;        -- and that one statement does
    begun  record;
    c      conveyor.comparison;
    deletes boolean;
    first  text[];
    last   text[];
    low    text[];
    high   text[];
    found  record;
    left_over boolean := false;
    on_their_way bigint := 0;
    wrong  text[] := '{}';             -- keys to repair, as JSON arrays
    others bigint := 0;                -- keys for which there was no room among them
BEGIN
    SELECT b.* INTO begun FROM conveyor.verify_begin($1, $2) AS b;
    c := conveyor.comparison_of(begun.definition, begun.condition, begun.follows, target_query);
    deletes := (begun.definition).options ? 'delete_statement';
    IF repair THEN
        PERFORM conveyor.repair_begin(c.job);
    END IF;
    LOOP
        last := (SELECT e.parts FROM conveyor.compare(c, conveyor.comparison_end_sql(c, first, wide)) AS e);
        IF EXISTS (SELECT FROM conveyor.compare(c, conveyor.comparison_hash_sql(c, first, last))) THEN
            low := first;
            LOOP
                high := (SELECT e.parts FROM conveyor.compare(c, conveyor.comparison_end_sql(c, low, narrow)) AS e);
                IF high IS NULL OR last IS NOT NULL AND NOT conveyor.comes_before(c, high, last) THEN
                    high := last;
                END IF;
                IF EXISTS (SELECT FROM conveyor.compare(c, conveyor.comparison_hash_sql(c, low, high))) THEN
                    FOR found IN SELECT d.parts, d.one AS problem, d.two AS detail
                                   FROM conveyor.compare(c, conveyor.comparison_list_sql(c, conveyor.comparison_range(c, 's', low, high),
                                                                                        conveyor.comparison_range(c, 't', low, high))) AS d LOOP
                        IF found.problem = 'pending' THEN
                            on_their_way := on_their_way + 1;
                            CONTINUE;
                        ELSIF repair AND cardinality(wrong) < most THEN
                            wrong := wrong || array_to_json(found.parts)::text;
                            CONTINUE;
                        ELSIF repair THEN
                            others := others + 1;
                            found.detail := concat_ws('; ', found.detail, 'not repaired yet');
                        END IF;
                        left_over := left_over OR found.problem = 'extra';
                        key := conveyor.key_of(found.parts);
                        problem := found.problem;
                        detail := found.detail;
                        RETURN NEXT;
                    END LOOP;
                END IF;
                EXIT WHEN high IS NOT DISTINCT FROM last;
                low := high;
            END LOOP;
        END IF;
        EXIT WHEN last IS NULL;
        first := last;
    END LOOP;
    FOR at IN 1 .. cardinality(wrong) BY few LOOP
        FOR found IN SELECT r.* FROM conveyor.verify_repair(c, wrong[at : at + few - 1], deletes) AS r LOOP
            IF found.problem = 'pending' THEN
                on_their_way := on_their_way + 1;
                CONTINUE;
            END IF;
            left_over := left_over OR (found.problem = 'extra' AND found.detail !~ '(^|; )repaired$');
            key := conveyor.key_of(found.parts);
            problem := found.problem;
            detail := found.detail;
            RETURN NEXT;
        END LOOP;
    END LOOP;
    IF on_their_way > 0 THEN
        RAISE NOTICE '%', CASE on_their_way WHEN 1 THEN '1 row differs by a change that the job has still to apply'
                               ELSE format('%s rows differ by changes that the job has still to apply', on_their_way) END;
    END IF;
    IF others > 0 THEN
        RAISE NOTICE 'one call repairs % keys at most: not repaired yet: %', most, others
            USING HINT = format('Run it again: SELECT * FROM conveyor.verify_job(%L, %L, %L, repair => true);', $1, $2, target_query);
    END IF;
    IF NOT left_over AND begun.unverified IS NOT NULL THEN
        PERFORM conveyor.verify_end(c.job, begun.unverified);
    END IF;
END
$$;
COMMENT ON FUNCTION conveyor.verify_job(text, text, text, boolean) IS
    'compare a job''s source with its target; returns the keys that differ, and repairs them when asked to';

CREATE FUNCTION conveyor.comes_before(c conveyor.comparison, one text[], other text[]) RETURNS boolean
    LANGUAGE sql
    SET search_path = pg_catalog, pg_temp
RETURN EXISTS (SELECT FROM conveyor.compare(c, format('SELECT NULL::text[], NULL::text, NULL::text WHERE (%s) < (%s)',
    (SELECT string_agg(format('%L::%s', u.k, u.type), ', ' ORDER BY u.n) FROM unnest(one, (c).key_types) WITH ORDINALITY AS u(k, type, n)),
    (SELECT string_agg(format('%L::%s', u.k, u.type), ', ' ORDER BY u.n) FROM unnest(other, (c).key_types) WITH ORDINALITY AS u(k, type, n)))));
