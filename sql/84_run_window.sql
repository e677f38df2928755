-- 84: run windows: when batches may begin. "[days ]HH:MM-HH:MM zone": days are those on which the window opens, in its zone.
-- A window is a span between two instants, so one over midnight belongs to the day it opens on, and in the night in which clocks
-- change it is an hour longer or shorter, never open twice.

-- The pieces; all NULL where it is not a window. `closes` counts from the midnight before `opens`, past 24 hours over midnight.
CREATE FUNCTION conveyor.parse_run_window(run_window text, OUT days int[], OUT opens interval, OUT closes interval, OUT zone text)
    LANGUAGE plpgsql IMMUTABLE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    names CONSTANT text[] := '{mon,tue,wed,thu,fri,sat,sun}';
    parts text[] := regexp_match(run_window, '^(?:([A-Za-z]{3}(?:[-,][A-Za-z]{3})*) +)?([01]?\d|2[0-3]):([0-5]\d) *- *(?:([01]?\d|2[0-3]):([0-5]\d)|24:00) +([A-Za-z0-9_+/-]+)$');
    piece text;
    bound int[];
    found int[] := '{}';
BEGIN
    IF parts IS NULL THEN
        RETURN;
    END IF;
    FOREACH piece IN ARRAY string_to_array(coalesce(lower(parts[1]), 'mon-sun'), ',') LOOP
        bound := ARRAY(SELECT array_position(names, p) FROM unnest(string_to_array(piece, '-')) WITH ORDINALITY AS s(p, n) ORDER BY n);
        IF cardinality(bound) > 2 OR array_position(bound, NULL) IS NOT NULL THEN
            RETURN;
        END IF;
        found := found || ARRAY(SELECT (bound[1] - 1 + n) % 7 + 1 FROM generate_series(0, (bound[cardinality(bound)] - bound[1] + 7) % 7) AS n);
    END LOOP;
    days := found;
    opens := make_interval(hours => parts[2]::int, mins => parts[3]::int);
    closes := CASE WHEN parts[4] IS NULL THEN interval '24 hours' ELSE make_interval(hours => parts[4]::int, mins => parts[5]::int) END;
    closes := closes + CASE WHEN closes <= opens THEN interval '24 hours' ELSE interval '0' END;
    zone := parts[6];
END
$$;

CREATE FUNCTION conveyor.check_run_windows(run_windows text[]) RETURNS void
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    given   text;
    parsed  record;
    problem text;
BEGIN
    FOREACH given IN ARRAY run_windows LOOP
        parsed := conveyor.parse_run_window(given);
        problem := CASE WHEN parsed.days IS NULL THEN 'it must be "[days ]HH:MM-HH:MM zone"'
                        WHEN parsed.closes - parsed.opens = interval '24 hours' AND parsed.opens <> interval '0' THEN 'it opens when it closes'
                        WHEN NOT EXISTS (SELECT FROM pg_timezone_names z WHERE lower(z.name) = lower(parsed.zone)) THEN format('there is no time zone "%s"', parsed.zone) END;
        IF problem IS NOT NULL THEN
            RAISE EXCEPTION 'invalid value for option "run_windows": "%": %', left(given, 200), problem
                USING ERRCODE = 'invalid_parameter_value',
                      HINT = 'Give windows such as "22:00-06:00 Europe/Berlin" or "Sat,Sun 00:00-24:00 UTC"; days are Mon to Sun, pg_timezone_names lists the zones.';
        END IF;
    END LOOP;
END
$$;

-- The windows as spans of time, from those that were open before `moment` to those a fortnight later. Empty ones are left out: their
-- hour may be missing in the night in which clocks go forward.
CREATE FUNCTION conveyor.run_window_spans(run_windows text[], moment timestamptz) RETURNS TABLE (opens_at timestamptz, closes_at timestamptz, zone text)
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT s.opens_at, s.closes_at, s.zone
      FROM unnest(run_windows) AS w(run_window),
           LATERAL conveyor.parse_run_window(w.run_window) AS p,
           LATERAL generate_series(-2, 15) AS n(n),
           LATERAL (SELECT (moment AT TIME ZONE p.zone)::date + n.n) AS d(day),
           LATERAL (SELECT (d.day + p.opens) AT TIME ZONE p.zone, (d.day + p.closes) AT TIME ZONE p.zone, p.zone) AS s(opens_at, closes_at, zone)
     WHERE extract(isodow FROM d.day) = ANY (p.days) AND s.opens_at < s.closes_at;
END;

-- NULL when one of the windows is open at `moment`, or there are none; else when the next one opens.
CREATE FUNCTION conveyor.closed_until(run_windows text[], moment timestamptz) RETURNS text
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
RETURN CASE WHEN cardinality(run_windows) > 0 AND NOT EXISTS (SELECT FROM conveyor.run_window_spans(run_windows, moment) AS s WHERE s.opens_at <= moment AND moment < s.closes_at)
            THEN coalesce((SELECT format('run_windows: closed until %s %s', to_char(s.opens_at AT TIME ZONE s.zone, 'YYYY-MM-DD HH24:MI'), s.zone)
                             FROM conveyor.run_window_spans(run_windows, moment) AS s WHERE s.opens_at > moment ORDER BY s.opens_at LIMIT 1), 'run_windows: closed') END;
