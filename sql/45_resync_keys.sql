-- 45: keys that come in pieces: from a query, or from a file that `conveyor resync` reads. Their request is `loading` until the last
-- of them is there; agents do not see it before, so nothing is sent of what turns out to be half a list or a wrong one.

-- load_begin: the request, without keys yet. This session must bring them; when it ends before, the request has failed.
--   source  query or file     reason  what people read in resync_status: the query, the file's name
-- Tables touched: request.
CREATE FUNCTION conveyor.load_begin(delivery text, source text, reason text) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    definition conveyor.delivery_definition := conveyor.find_delivery(delivery);
    request    bigint;
BEGIN
    PERFORM conveyor.check_operator(definition.owner, 'delivery', delivery);
    request := conveyor.open_request(delivery, 'keys', conveyor.latest_snapshot(), left(reason, 1000));
    UPDATE conveyor.request r
       SET state = 'loading', source = load_begin.source, keys_total = 0, (loader, loader_since) = (SELECT a.pid, a.backend_start FROM pg_stat_activity a WHERE a.pid = pg_backend_pid())
     WHERE r.id = request;
    RETURN request;
END
$$;
COMMENT ON FUNCTION conveyor.load_begin(text, text, text) IS 'begin a resync whose keys follow in pieces; returns the request''s id';

-- The request, locked, if this session may bring keys to it.
CREATE FUNCTION conveyor.loading_request(request bigint) RETURNS conveyor.request
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    asked conveyor.request := conveyor.operated_request(request);
BEGIN
    IF asked.state = 'cancelled' THEN
        RAISE EXCEPTION 'request % was cancelled', request USING ERRCODE = 'object_not_in_prerequisite_state';
    ELSIF asked.state <> 'loading' OR asked.loader <> pg_backend_pid() THEN
        RAISE EXCEPTION 'this session does not load request %', request
            USING ERRCODE = 'object_not_in_prerequisite_state',
                  DETAIL = format('The request is %s.', asked.state),
                  HINT = 'Keys come from the session that called load_begin(): connect directly, or through a pooler in session mode.';
    END IF;
    RETURN asked;
END
$$;

-- A page of ids as documents have them. The next key's number is behind those that are there.
CREATE FUNCTION conveyor.load_page(request bigint, keys text[]) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    asked conveyor.request := conveyor.loading_request(request);
BEGIN
    IF cardinality(keys) > 0 THEN
        INSERT INTO conveyor.request_page (request, number, keys) VALUES (asked.id, asked.keys_total + 1, keys);
        UPDATE conveyor.request r SET keys_total = r.keys_total + cardinality(keys) WHERE r.id = asked.id;
    END IF;
END
$$;

-- load_keys: ids as people write them down; those that are none are returned by their place in the array and not stored.
-- A call without keys only asks whether the request is still to be loaded.
-- Does not wait for the disk: load_end() does, behind it.
-- Tables touched: request, request_page.
CREATE FUNCTION conveyor.load_keys(request bigint, keys text[]) RETURNS TABLE (item int, problem text)
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    asked  conveyor.request := conveyor.loading_request(request);
    known  record;
    -- Elasticsearch and OpenSearch have no longer ids.
    longest int := (SELECT CASE t.kind WHEN 'elasticsearch' THEN 512 END
                      FROM conveyor.delivery_definition d JOIN conveyor.target_definition t USING (target) WHERE d.delivery = asked.delivery);
BEGIN
    PERFORM set_config('synchronous_commit', 'off', true);
    SELECT d.* INTO known FROM conveyor.document_ids(asked.delivery, keys) AS d;
    PERFORM conveyor.load_page(request, ARRAY(SELECT k.id FROM unnest(known.ids) WITH ORDINALITY AS k(id, n)
                                               WHERE k.id IS NOT NULL AND (longest IS NULL OR octet_length(k.id) <= longest) ORDER BY k.n));
    RETURN QUERY
    SELECT k.n::int, coalesce(k.problem, format('it has %s bytes; an id in the target has %s at most', octet_length(k.id), longest))
      FROM unnest(known.ids, known.problems) WITH ORDINALITY AS k(id, problem, n)
     WHERE k.problem IS NOT NULL OR octet_length(k.id) > longest
     ORDER BY k.n;
END
$$;
COMMENT ON FUNCTION conveyor.load_keys(bigint, text[]) IS 'bring keys to a resync; returns which of them are no ids, and why';

-- load_end: all keys are there; agents take it from here. Returns how many.
-- Tables touched: request, journal_entry.
CREATE FUNCTION conveyor.load_end(request bigint) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    asked conveyor.request := conveyor.loading_request(request);
BEGIN
    UPDATE conveyor.request r
       SET state = 'open', exhausted = true, at_least = conveyor.latest_snapshot(), loader = NULL, loader_since = NULL
     WHERE r.id = asked.id;
    IF asked.keys_total = 0 THEN
        PERFORM conveyor.finish_request(asked.id);
    END IF;
    PERFORM conveyor.write_journal('resync', asked.delivery, format('request %s: %s keys of %s %s', asked.id, asked.keys_total, asked.source, asked.reason));
    RETURN asked.keys_total;
END
$$;
COMMENT ON FUNCTION conveyor.load_end(bigint) IS 'all keys of a resync are there: it begins; returns how many';

CREATE FUNCTION conveyor.fail_load(request bigint, error text) RETURNS void
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    UPDATE conveyor.request r
       SET state = 'failed', finished_at = clock_timestamp(), last_error = left(error, 1000), loader = NULL, loader_since = NULL
     WHERE r.id = fail_load.request AND r.state = 'loading';
    DELETE FROM conveyor.request_page p WHERE p.request = fail_load.request;
END
$$;

CREATE FUNCTION conveyor.load_fail(request bigint, error text) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    asked conveyor.request := conveyor.loading_request(request);
BEGIN
    PERFORM conveyor.fail_load(asked.id, error);
END
$$;
COMMENT ON FUNCTION conveyor.load_fail(bigint, text) IS 'a resync''s keys could not be read: nothing is sent';

-- Requests whose session has gone without a word.
CREATE FUNCTION conveyor.fail_lost_loads() RETURNS void
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    lost bigint;
BEGIN
    IF EXISTS (SELECT FROM conveyor.request r WHERE r.state = 'loading') THEN
        FOR lost IN SELECT r.id FROM conveyor.request r
                     WHERE r.state = 'loading'
                       AND NOT EXISTS (SELECT FROM pg_stat_activity a WHERE a.pid = r.loader AND a.backend_start = r.loader_since)
                       FOR UPDATE SKIP LOCKED LOOP
            PERFORM conveyor.fail_load(lost, 'the session that brought the keys has ended before the last of them');
        END LOOP;
    END IF;
END
$$;

-- Parameters: delivery; texts. Returns: for each of them the id that it means, or why it is none.
CREATE FUNCTION conveyor.document_ids(delivery text, keys text[], OUT ids text[], OUT problems text[])
    LANGUAGE c STABLE STRICT AS 'MODULE_PATHNAME', 'conveyor_document_ids';

-- Parameters: a request that this session loads; its delivery; a query; the search path to run it with. Returns how many keys.
-- Runs with the caller's rights, and so does the query.
CREATE FUNCTION conveyor.collect_keys(request bigint, delivery text, query text, search_path text) RETURNS bigint
    LANGUAGE c VOLATILE STRICT AS 'MODULE_PATHNAME', 'conveyor_collect_keys';

-- Runs with the caller's rights, and so does the query.
CREATE FUNCTION conveyor.examine_key_query(query text, delivery text, search_path text, trial boolean)
    RETURNS TABLE (severity text, problem text, remedy text, "position" int)
    LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'conveyor_examine_key_query';

-- resync_query: sends the documents again whose keys the query returns (or removes them, where the view has them no longer).
--   query        one SELECT that returns the key's columns. It is the caller's own: it runs with the caller's rights and settings,
--                in a restricted context in which nothing can be written, once, and before this returns
--   search_path  what it is run with; the default is evaluated in the caller's session
-- Returns the request's id. Tables touched: request, request_page, journal_entry.
CREATE FUNCTION conveyor.resync_query(delivery text, query text, search_path text DEFAULT current_setting('search_path')) RETURNS bigint
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    request bigint;
BEGIN
    IF query IS NULL THEN
        RAISE EXCEPTION 'query of a resync must not be null'
            USING ERRCODE = 'null_value_not_allowed',
                  HINT = format('Run SELECT conveyor.resync_all(%L) to send everything again.', delivery);
    END IF;
    request := conveyor.load_begin(delivery, 'query', query);
    PERFORM conveyor.collect_keys(request, delivery, query, search_path);
    PERFORM conveyor.load_end(request);
    RETURN request;
END
$$;
COMMENT ON FUNCTION conveyor.resync_query(text, text, text) IS 'send the documents again whose keys a query returns; returns the request''s id';

-- lint_query: what speaks against a query for resync_query(); no rows: nothing.
--   delivery  whose key it is to return; NULL: any     trial  run it for one row (LIMIT 1), with the caller's rights and nothing written
--   position  in characters from 1, NULL: of no place
CREATE FUNCTION conveyor.lint_query(query text, delivery text DEFAULT NULL, trial boolean DEFAULT true, search_path text DEFAULT current_setting('search_path'))
    RETURNS TABLE (severity text, problem text, remedy text, "position" int)
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF query IS NULL THEN
        RAISE EXCEPTION 'query must not be null' USING ERRCODE = 'null_value_not_allowed';
    END IF;
    RETURN QUERY SELECT e.* FROM conveyor.examine_key_query(query, delivery, search_path, coalesce(trial, true)) AS e;
END
$$;
COMMENT ON FUNCTION conveyor.lint_query(text, text, boolean, text) IS 'what speaks against a query for resync_query(): one row a finding, none when nothing does';
