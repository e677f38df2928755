-- 55: agents: who is there, who holds which lease.

CREATE TABLE conveyor.agent (
    agent                 text PRIMARY KEY CHECK (conveyor.is_name(agent)),
    host                  text NOT NULL,
    pid                   int NOT NULL,
    version               text NOT NULL,
    tags                  text[] NOT NULL,
    backend               int NOT NULL,            -- the session of its latest call
    started_at            timestamptz NOT NULL DEFAULT clock_timestamp(),
    heartbeat_at          timestamptz NOT NULL DEFAULT clock_timestamp(),
    documents_per_second  real
) WITH (fillfactor = 20);
COMMENT ON TABLE conveyor.agent IS 'agents and their heartbeats; read it as the view agent_status';

CREATE FUNCTION conveyor.lease_timeout() RETURNS interval
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
RETURN conveyor.setting_interval('conveyor.lease_timeout');

-- Agents whose heart beats, on this database's clock.
CREATE VIEW conveyor.live_agent AS
SELECT a.agent, a.tags, a.documents_per_second
  FROM conveyor.agent a
 WHERE a.heartbeat_at > clock_timestamp() - conveyor.lease_timeout();

CREATE FUNCTION conveyor.delivery_tags(options jsonb) RETURNS text[]
    LANGUAGE sql IMMUTABLE
    SET search_path = pg_catalog, pg_temp
RETURN ARRAY(SELECT jsonb_array_elements_text(options -> 'tags'));

-- agent_start: registers an agent; leases that an earlier life of it held end here.
--   protocol  the form of the calls of docs/internals.md, section 3, that the agent speaks
-- Tables touched: agent, delivery_state, sender, identity, journal_entry.
CREATE FUNCTION conveyor.agent_start(agent text, host text, pid int, version text, protocol int, tags text[]) RETURNS jsonb
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    speaks   CONSTANT int := 1;
    here     text := (SELECT e.extversion FROM pg_extension e WHERE e.extname = 'pg_conveyor');
    other    conveyor.agent;
    held     text;
BEGIN
    PERFORM conveyor.latest_snapshot();      -- loads the library, and with it the settings
    PERFORM conveyor.check_name('agent', agent);
    IF protocol IS DISTINCT FROM speaks THEN
        RAISE EXCEPTION 'agent and extension do not speak the same protocol'
            USING ERRCODE = 'CV002',
                  DETAIL = format('Agent %s (version %s) speaks protocol %s, extension version %s speaks protocol %s.', agent, version, protocol, here, speaks),
                  HINT = CASE WHEN protocol < speaks THEN format('Install the agent of version %s.', here)
                              ELSE format('Install the extension of version %s and run ALTER EXTENSION pg_conveyor UPDATE.', version) END;
    END IF;

    SELECT a.* INTO other FROM conveyor.agent a WHERE a.agent = agent_start.agent FOR UPDATE;
    IF FOUND AND (other.host, other.pid) IS DISTINCT FROM (host, pid)
       AND other.heartbeat_at > clock_timestamp() - conveyor.lease_timeout()
       AND EXISTS (SELECT FROM pg_stat_activity p WHERE p.pid = other.backend) AND other.backend <> pg_backend_pid() THEN
        RAISE EXCEPTION 'agent "%" is running already', agent
            USING ERRCODE = 'CV003',
                  DETAIL = format('Process %s on host %s goes by this name.', other.pid, other.host),
                  HINT = 'Give this one another name: conveyor agent --name NAME.';
    END IF;
    FOR held IN SELECT s.delivery FROM conveyor.delivery_state s WHERE s.agent = agent_start.agent ORDER BY s.delivery LOOP
        PERFORM conveyor.new_lease(held, NULL);
    END LOOP;

    INSERT INTO conveyor.agent AS a (agent, host, pid, version, tags, backend)
    VALUES (agent, host, pid, version, coalesce(tags, '{}'), pg_backend_pid())
    ON CONFLICT ON CONSTRAINT agent_pkey DO UPDATE
       SET host = excluded.host, pid = excluded.pid, version = excluded.version, tags = excluded.tags, backend = excluded.backend,
           started_at = excluded.started_at, heartbeat_at = excluded.heartbeat_at, documents_per_second = NULL;
    -- Names of the dead that hold nothing are of no use to anybody.
    DELETE FROM conveyor.agent a
     WHERE a.heartbeat_at < clock_timestamp() - interval '1 day'
       AND NOT EXISTS (SELECT FROM conveyor.delivery_state s WHERE s.agent = a.agent);

    PERFORM conveyor.write_journal('start agent', agent, format('version %s, process %s on %s', version, pid, host));
    RETURN jsonb_build_object('database', current_database(), 'version', here, 'protocol', speaks,
                              'lease_timeout_ms', round(extract(epoch FROM conveyor.lease_timeout()) * 1000)::bigint);
END
$$;
COMMENT ON FUNCTION conveyor.agent_start(text, text, int, text, int, text[]) IS 'agent: registers';

CREATE FUNCTION conveyor.agent_stop(agent text) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    held text;
BEGIN
    FOR held IN SELECT s.delivery FROM conveyor.delivery_state s WHERE s.agent = agent_stop.agent ORDER BY s.delivery LOOP
        PERFORM conveyor.new_lease(held, NULL);
    END LOOP;
    DELETE FROM conveyor.agent a WHERE a.agent = agent_stop.agent;
    IF FOUND THEN
        PERFORM conveyor.write_journal('stop agent', agent);
    END IF;
END
$$;
COMMENT ON FUNCTION conveyor.agent_stop(text) IS 'agent: gives its leases back and leaves';

-- Claims what nobody live holds, up to a fair share, and gives back what is too much or not this agent's any more.
-- The share: each delivery is divided evenly among the live agents whose tags allow it.
CREATE FUNCTION conveyor.share_leases(agent text) RETURNS void
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    mine      text[] := (SELECT a.tags FROM conveyor.agent a WHERE a.agent = share_leases.agent);
    share     int;
    own       int;
    delivery  text;
BEGIN
    SELECT ceil(sum(1.0 / takers.number)) INTO share
      FROM conveyor.delivery_definition d
     CROSS JOIN LATERAL (SELECT greatest(count(*), 1) AS number FROM conveyor.live_agent l WHERE conveyor.delivery_tags(d.options) <@ l.tags) AS takers
     WHERE conveyor.delivery_tags(d.options) <@ mine;

    FOR delivery IN
        SELECT s.delivery FROM conveyor.delivery_state s JOIN conveyor.delivery_definition d USING (delivery)
         WHERE s.agent = share_leases.agent AND NOT conveyor.delivery_tags(d.options) <@ mine
    LOOP
        PERFORM conveyor.new_lease(delivery, NULL);
    END LOOP;

    SELECT count(*) INTO own FROM conveyor.delivery_state s WHERE s.agent = share_leases.agent;
    IF own < coalesce(share, 0) THEN
        FOR delivery IN
            SELECT s.delivery FROM conveyor.delivery_state s JOIN conveyor.delivery_definition d USING (delivery)
             WHERE s.agent IS DISTINCT FROM share_leases.agent
               AND NOT EXISTS (SELECT FROM conveyor.live_agent l WHERE l.agent = s.agent)
               AND conveyor.delivery_tags(d.options) <@ mine
             ORDER BY s.delivery
             LIMIT share - own
               FOR UPDATE OF s SKIP LOCKED
        LOOP
            PERFORM conveyor.new_lease(delivery, agent);
        END LOOP;
    ELSIF own > share THEN
        -- Only what another live agent may take, and has room for.
        FOR delivery IN
            SELECT s.delivery FROM conveyor.delivery_state s JOIN conveyor.delivery_definition d USING (delivery)
             WHERE s.agent = share_leases.agent
               AND EXISTS (SELECT FROM conveyor.live_agent l
                            WHERE l.agent <> share_leases.agent AND conveyor.delivery_tags(d.options) <@ l.tags
                              AND (SELECT count(*) FROM conveyor.delivery_state o WHERE o.agent = l.agent) < own - 1)
             ORDER BY s.delivery DESC
             LIMIT own - share
               FOR UPDATE OF s SKIP LOCKED
        LOOP
            PERFORM conveyor.new_lease(delivery, NULL);
        END LOOP;
    END IF;
END
$$;

-- What an agent tells of its deliveries. Only what differs is written: an idle delivery writes nothing. A row that somebody keeps for
-- long, as DDL on the feed's view does until it commits, must not stop the agent's heart: what cannot be told now is told the next
-- time, but for the retries.
CREATE FUNCTION conveyor.take_report(agent text, report jsonb) RETURNS void
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
    SET lock_timeout = '200ms'
AS $$
DECLARE
    differing text[] := ARRAY(SELECT s.delivery
                                FROM jsonb_each(coalesce(report -> 'deliveries', '{}')) AS e(delivery, told)
                               CROSS JOIN LATERAL jsonb_to_record(e.told) AS r(throttle text, last_error text, documents_per_second real, retries bigint)
                                JOIN conveyor.delivery_state s ON s.delivery = e.delivery AND s.agent = take_report.agent
                               WHERE (s.throttle, s.last_error, s.documents_per_second) IS DISTINCT FROM (r.throttle, r.last_error, r.documents_per_second)
                                  OR r.retries > 0);
BEGIN
    IF differing = '{}' THEN
        RETURN;
    END IF;
    BEGIN
        PERFORM FROM conveyor.delivery_state s WHERE s.delivery = ANY (differing) ORDER BY s.delivery FOR NO KEY UPDATE;
    EXCEPTION WHEN lock_not_available THEN
        differing := ARRAY(SELECT s.delivery FROM conveyor.delivery_state s WHERE s.delivery = ANY (differing) FOR NO KEY UPDATE SKIP LOCKED);
    END;
    UPDATE conveyor.delivery_state s
       SET throttle = r.throttle, last_error = r.last_error, documents_per_second = r.documents_per_second,
           retries = s.retries + coalesce(r.retries, 0), updated_at = clock_timestamp()
      FROM unnest(differing) AS e(delivery)
     CROSS JOIN LATERAL jsonb_to_record(report -> 'deliveries' -> e.delivery) AS r(throttle text, last_error text, documents_per_second real, retries bigint)
     WHERE s.delivery = e.delivery AND s.agent = take_report.agent;
END
$$;

-- agent_sync: heartbeat, report, identity, claims; tells the agent all it must know. Twice a second.
-- Tables touched: agent; delivery_state and sender where a lease changes or the report differs.
CREATE FUNCTION conveyor.agent_sync(agent text, report jsonb) RETURNS jsonb
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    answer jsonb;
BEGIN
    UPDATE conveyor.agent a
       SET heartbeat_at = clock_timestamp(), backend = pg_backend_pid(), documents_per_second = (report ->> 'documents_per_second')::real
     WHERE a.agent = agent_sync.agent;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'agent "%" is not registered', agent
            USING ERRCODE = 'CV004', HINT = 'Call conveyor.agent_start() first.';
    END IF;
    PERFORM conveyor.check_identity();
    PERFORM conveyor.release_log();
    PERFORM conveyor.share_leases(agent);
    PERFORM conveyor.forget_senders(agent);
    answer := jsonb_build_object(
        'deliveries', conveyor.agent_deliveries(agent),
        'removals', conveyor.agent_removals(agent),
        'settings', jsonb_build_object(
            'lease_timeout_ms', round(extract(epoch FROM conveyor.lease_timeout()) * 1000)::bigint,
            'orphan_time_ms', round(extract(epoch FROM conveyor.setting_interval('conveyor.orphan_time')) * 1000)::bigint));
    -- Last, since it locks the rows that advance() waits for.
    PERFORM conveyor.take_report(agent, report);
    RETURN answer;
END
$$;
COMMENT ON FUNCTION conveyor.agent_sync(text, jsonb) IS 'agent: heartbeat, report, leases; returns its deliveries with all that it must know';

-- agent_poll: deliveries of the agent with something to drain. Reads only, and stops at the first row of each.
-- Also those that nobody holds and that the agent may take: it need not wait for its next agent_sync() to find them.
-- Now and then also those beyond whose cursor there are only rows of other feeds: a cursor that stood still while others move
-- would keep the log from being emptied, and each poll would pass over more of it. With nothing in the log nobody moves.
CREATE FUNCTION conveyor.agent_poll(agent text) RETURNS SETOF text
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN QUERY
    SELECT s.delivery
      FROM conveyor.delivery_state s
      JOIN conveyor.delivery_definition d USING (delivery)
     CROSS JOIN (SELECT coalesce(array_agg(c.capture), '{}') AS captures FROM conveyor.capture c) AS every
     CROSS JOIN LATERAL (SELECT coalesce(array_agg(c.capture), '{}') AS captures FROM conveyor.watch w JOIN conveyor.capture c ON c.relation = w.relation::oid
                          WHERE w.feed = d.feed) AS f
     WHERE s.agent = agent_poll.agent AND s.paused_at IS NULL AND s.held_at IS NULL
       AND (s.advanced_at < clock_timestamp() - interval '10 s' AND conveyor.log_has_pending(s.cursor, every.captures)
            OR conveyor.log_has_pending(s.cursor, f.captures))
     UNION ALL
    SELECT s.delivery
      FROM conveyor.delivery_state s
      JOIN conveyor.delivery_definition d USING (delivery)
      JOIN conveyor.agent a ON a.agent = agent_poll.agent AND conveyor.delivery_tags(d.options) <@ a.tags
     WHERE s.agent IS NULL;
END
$$;
COMMENT ON FUNCTION conveyor.agent_poll(text) IS
    'agent: its deliveries with something in the log beyond their cursor, and deliveries that are free to be taken';
