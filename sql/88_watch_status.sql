-- 88: which tables' changes are captured, and for whom.

CREATE VIEW conveyor.watch_status AS
SELECT w.relation,
       coalesce(c.columns, w.columns) AS columns,
       w.feeds,
       CASE WHEN class.oid IS NULL THEN 'dropped'
            WHEN t.tgenabled IS NULL OR c.capture IS NULL THEN 'missing'
            WHEN t.tgenabled <> 'A' THEN 'disabled'
            ELSE 'capturing' END AS state,
       coalesce(u.bytes, 0) AS log_bytes,
       u.oldest AS oldest_change,
       w.jobs
  FROM (SELECT n.relation::regclass,
               coalesce(array_agg(n.feed ORDER BY n.feed) FILTER (WHERE n.feed IS NOT NULL), '{}') AS feeds,
               coalesce(array_agg(n.job ORDER BY n.job) FILTER (WHERE n.job IS NOT NULL), '{}') AS jobs,
               (SELECT array_agg(DISTINCT k) FROM conveyor.capture_need o, unnest(o.columns) AS k WHERE o.relation = n.relation) AS columns
          FROM conveyor.capture_need n GROUP BY n.relation) AS w
  LEFT JOIN pg_catalog.pg_class class ON class.oid = w.relation
  LEFT JOIN conveyor.capture c ON c.relation = w.relation::oid AND c.retired_at IS NULL
  LEFT JOIN pg_catalog.pg_trigger t ON t.tgrelid = w.relation AND t.tgname = format('conveyor_capture_%s', c.capture)
  LEFT JOIN (SELECT k.relation, sum(g.bytes)::bigint AS bytes, min(g.oldest) AS oldest
               FROM conveyor.log_usage() AS g JOIN conveyor.capture k USING (capture) GROUP BY k.relation) AS u ON u.relation = w.relation::oid
 ORDER BY w.relation::text;
COMMENT ON VIEW conveyor.watch_status IS
    'every table whose changes are captured, and for which feeds and jobs (migration.job): capturing, disabled, missing (conveyor.audit() says how to mend it) or dropped; and what the log holds of it';
