-- 62: what agent_sync() hands out.

-- Has the index been made anew, and not all documents sent there yet? A resync_all may be what fills it.
CREATE FUNCTION conveyor.index_filling(index jsonb) RETURNS boolean
    LANGUAGE sql IMMUTABLE
    SET search_path = pg_catalog, pg_temp
RETURN coalesce(index ->> 'filling' = 'true', false);

-- First that applies; delivery_status shows the same word.
CREATE FUNCTION conveyor.state_name(state conveyor.delivery_state) RETURNS text
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
RETURN CASE
           WHEN state.paused_at IS NOT NULL THEN 'paused'
           WHEN state.held_at IS NOT NULL OR NOT (SELECT i.confirmed FROM conveyor.identity i) THEN 'waiting'
           WHEN state.stale_at IS NOT NULL THEN 'stale'
           WHEN conveyor.index_filling(state.index)
                OR EXISTS (SELECT FROM conveyor.request r WHERE r.delivery = state.delivery AND r.kind = 'backfill' AND r.state IN ('open', 'paused'))
               THEN 'backfilling'
           ELSE 'live'
       END;

-- The view's columns as mappings are made of them: [{name, type, array}].
CREATE FUNCTION conveyor.feed_columns(feed text) RETURNS jsonb
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
RETURN (SELECT coalesce(jsonb_agg(jsonb_build_object('name', c.name, 'type', c.type, 'array', c.is_array)), '[]')
          FROM conveyor.document_columns(feed) AS c);

-- Does the delivery have deletes whose older requests belonged to a lease that has been gone for orphan_time?
-- One that was entered later cannot be undone by them. One with the lease's oldest version may be a delete of its own that
-- never arrived: its entry is the last trace of the document that it was to remove.
CREATE FUNCTION conveyor.orphans(delivery text) RETURNS SETOF text
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    orphan_time interval := conveyor.setting_interval('conveyor.orphan_time');
BEGIN
    RETURN QUERY
    SELECT l.key FROM conveyor.delete_ledger l
     WHERE l.delivery = orphans.delivery
       AND EXISTS (SELECT FROM conveyor.sender e
                    WHERE e.delivery = l.delivery AND e.ended_at < clock_timestamp() - orphan_time
                      AND e.oldest_version <= l.version AND l.entered_at <= e.ended_at + orphan_time);
END
$$;

-- Leases that ended longer than orphan_time ago and have no deletes left to look after.
CREATE FUNCTION conveyor.forget_senders(agent text) RETURNS void
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    orphan_time interval := conveyor.setting_interval('conveyor.orphan_time');
BEGIN
    DELETE FROM conveyor.sender e
     USING conveyor.delivery_state s
     WHERE s.agent = forget_senders.agent AND e.delivery = s.delivery AND e.ended_at < clock_timestamp() - orphan_time
       AND NOT EXISTS (SELECT FROM conveyor.delete_ledger l
                        WHERE l.delivery = e.delivery AND e.oldest_version <= l.version AND l.entered_at <= e.ended_at + orphan_time);
END
$$;

CREATE FUNCTION conveyor.orphan_keys(delivery text, lease bigint, keys int) RETURNS SETOF text
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM conveyor.lock_lease(delivery, lease);
    RETURN QUERY SELECT o FROM conveyor.orphans(delivery) AS o LIMIT keys;
END
$$;
COMMENT ON FUNCTION conveyor.orphan_keys(text, bigint, int) IS
    'agent: deletes whose older requests belonged to a lease that is long gone: read and send them again';

-- A key whose delete was sent again has a younger entry by now, which stays until it is settled as any other.
CREATE FUNCTION conveyor.orphans_settled(delivery text, lease bigint, keys text[]) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    state conveyor.delivery_state := conveyor.lock_lease(delivery, lease);
BEGIN
    DELETE FROM conveyor.delete_ledger l
     USING unnest(keys) AS k(key)
     WHERE l.delivery = orphans_settled.delivery AND conveyor.key_digest(l.key) = conveyor.key_digest(k.key)
       AND l.key IN (SELECT conveyor.orphans(orphans_settled.delivery));
    PERFORM conveyor.forget_senders(state.agent);
END
$$;
COMMENT ON FUNCTION conveyor.orphans_settled(text, bigint, text[]) IS 'agent: keys of orphan_keys() were read and sent again';

CREATE FUNCTION conveyor.agent_deliveries(agent text) RETURNS jsonb
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    -- Twice a second for hundreds of deliveries: what is the same for many is worked out once.
    RETURN (
        WITH defaults AS MATERIALIZED (
            SELECT k.object, k.kind, conveyor.option_defaults(k.object, k.kind) AS options
              FROM (VALUES ('delivery', NULL), ('target', 'elasticsearch'), ('target', 'ndjson')) AS k(object, kind)
        ), target AS MATERIALIZED (
            SELECT t.target, t.kind, coalesce(t.options ->> 'secret', t.target) AS secret,
                   f.options || conveyor.given_options('target', t.kind, t.options) AS options
              FROM conveyor.target_definition t JOIN defaults f ON f.object = 'target' AND f.kind = t.kind
        ), feed AS MATERIALIZED (
            SELECT f.feed, conveyor.feed_columns(f.feed) AS columns
              FROM conveyor.feed_definition f
             WHERE f.feed IN (SELECT d.feed FROM conveyor.delivery_definition d JOIN conveyor.delivery_state s USING (delivery)
                               WHERE s.agent = agent_deliveries.agent)
        )
        SELECT coalesce(jsonb_agg(jsonb_build_object(
                   'delivery', s.delivery,
                   'lease', s.lease,
                   'feed', d.feed,
                   'target', d.target,
                   'kind', t.kind,
                   'destination', d.destination,
                   'state', conveyor.state_name(s),
                   'options', (SELECT f.options FROM defaults f WHERE f.object = 'delivery')
                              || CASE d.options WHEN '{}' THEN '{}' ELSE conveyor.given_options('delivery', NULL, d.options) END,
                   'target_options', t.options,
                   'secret', t.secret,
                   'index', s.index,
                   'dead_letters', (SELECT count(*) FROM (SELECT FROM conveyor.dead_letter_store l WHERE l.delivery = s.delivery LIMIT 1000) AS few),
                   'columns', f.columns,
                   'requests', (SELECT coalesce(jsonb_agg(jsonb_build_object('id', r.id, 'kind', r.kind, 'phase', r.phase, 'state', r.state,
                                                                             'at_least', r.at_least::text,
                                                                             'untouched', r.kind NOT IN ('keys', 'compare') AND r.phase = 'fill' AND r.ranges =
                                                                                 (SELECT count(*) FROM conveyor.request_range g WHERE g.request = r.id))
                                                          ORDER BY r.id), '[]')
                                  FROM conveyor.request r WHERE r.delivery = s.delivery AND r.state IN ('open', 'paused')),
                   'cursor', s.cursor::text,
                   'epoch', i.epoch,
                   'orphans', EXISTS (SELECT FROM conveyor.sender e WHERE e.delivery = s.delivery AND e.ended_at IS NOT NULL)
                              AND EXISTS (SELECT conveyor.orphans(s.delivery)),
                   'known_as', coalesce(d.rebuild_of, d.delivery),
                   'rebuild', (SELECT jsonb_build_object('state', r.state, 'beside', d.rebuild_of IS NOT NULL, 'index', own.name,
                                                         'other', CASE own.name WHEN r.old_index THEN r.new_index ELSE r.old_index END,
                                                         'named', d.rebuild_of IS NULL AND r.state NOT IN ('switching', 'rolling_back'))
                                 FROM conveyor.index_rebuild r
                                CROSS JOIN LATERAL (SELECT coalesce(s.index ->> 'name', r.new_index)) AS own(name)
                                WHERE r.delivery = coalesce(d.rebuild_of, d.delivery) AND r.beside IS NOT NULL)) ORDER BY s.delivery), '[]')
          FROM conveyor.delivery_state s
          JOIN conveyor.delivery_definition d USING (delivery)
          JOIN target t USING (target)
          JOIN feed f USING (feed)
         CROSS JOIN conveyor.identity i
         WHERE s.agent = agent_deliveries.agent);
END
$$;

-- Destinations to remove, each handed to one live agent at a time.
CREATE FUNCTION conveyor.agent_removals(agent text) RETURNS jsonb
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    UPDATE conveyor.destination_removal r SET agent = agent_removals.agent
     WHERE r.agent IS DISTINCT FROM agent_removals.agent
       AND NOT EXISTS (SELECT FROM conveyor.live_agent l WHERE l.agent = r.agent)
       AND r.tags <@ (SELECT a.tags FROM conveyor.agent a WHERE a.agent = agent_removals.agent);
    RETURN (
        SELECT coalesce(jsonb_agg(jsonb_build_object(
                   'id', r.id, 'delivery', r.delivery, 'target', r.target, 'kind', r.kind, 'destination', r.destination, 'index', r.index,
                   'target_options', conveyor.option_defaults('target', r.kind) || conveyor.given_options('target', r.kind, r.target_options),
                   'secret', coalesce(r.target_options ->> 'secret', r.target),
                   'survivor', coalesce((SELECT s.index ->> 'name' FROM conveyor.delivery_definition d JOIN conveyor.delivery_state s USING (delivery)
                                          WHERE r.survivor IS NOT NULL AND d.delivery = r.delivery AND (d.target, d.destination) = (r.target, r.destination)),
                                        r.survivor)) ORDER BY r.id), '[]')
          FROM conveyor.destination_removal r
         WHERE r.agent = agent_removals.agent AND (SELECT i.confirmed FROM conveyor.identity i));
END
$$;

-- removal_done: the destination is gone (error NULL), or could not be removed and is tried again.
CREATE FUNCTION conveyor.removal_done(agent text, id bigint, error text) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    removed conveyor.destination_removal;
BEGIN
    IF error IS NOT NULL THEN
        UPDATE conveyor.destination_removal r SET last_error = error
         WHERE r.id = removal_done.id AND r.agent = removal_done.agent AND r.last_error IS DISTINCT FROM error;
        RETURN;
    END IF;
    DELETE FROM conveyor.destination_removal r WHERE r.id = removal_done.id AND r.agent = removal_done.agent RETURNING r.* INTO removed;
    IF FOUND THEN
        PERFORM conveyor.write_journal('remove destination', removed.delivery,
            format('%s in target %s', CASE WHEN removed.survivor IS NULL THEN removed.destination ELSE 'index ' || (removed.index ->> 'name') END, removed.target), 'agent ' || agent);
    END IF;
END
$$;
COMMENT ON FUNCTION conveyor.removal_done(text, bigint, text) IS 'agent: a destination of a dropped delivery is gone, or why not';
