"""A case as SQL for psql, to be repeated by hand."""

from case import SCHEMA, key_expression


def script(case, command):
    """With the comparison at its end, for the one feed that a cut-down case has."""
    lines = [f"-- {command}", f"CREATE SCHEMA {SCHEMA};", f"SET search_path = {SCHEMA};"]
    lines += [f"{text};" for table in case.tables for text in table.ddl()] + [f"{text};" for text in case.filling]
    lines += [f"{view.ddl()};" for view in case.views]
    lines += ["""SELECT conveyor.create_target('nowhere', 'ndjson', '{"directory": "/tmp"}');"""]
    feeds = [view for view in case.views if view.feed]
    for view in feeds:
        key = ", ".join("'" + column.strip('"').replace("'", "''") + "'" for column in view.key)
        lines += [f"SELECT conveyor.create_feed('{view.name}', '{view.name}', ARRAY[{key}]);",
                  f"SELECT conveyor.create_delivery('{view.name}', '{view.name}', 'nowhere');"]
    if case.mutation:
        lines += [f"{text};" for text in case.mutation.statements]
    lines += [f"UPDATE conveyor.delivery_state SET cursor = conveyor.latest_snapshot() WHERE delivery = '{view.name}';" for view in feeds]
    lines += [f"CREATE TABLE before_{view.name} AS {_contents(view)};" for view in feeds]
    several = len({event.session for event in case.events if event.sql}) > 1
    for event in case.events:
        if event.sql:
            lines.append(f"{event.sql};" + (f"  -- session {event.session}: run it in a session of its own" if several else ""))
        for view in feeds:
            if view.name in event.windows:
                lines += _comparison(view)
    return "\n".join(lines)


def _contents(view):
    return f"SELECT {key_expression(view.key)} AS key, row_to_json(v)::text AS document FROM {view.name} AS v"


def _comparison(view):
    now = f"({_contents(view)})"
    return ["-- documents that changed and that the window does not report",
            "BEGIN READ ONLY;",
            f"SELECT key FROM ((TABLE before_{view.name} EXCEPT ALL {now}) UNION ALL ({now} EXCEPT ALL TABLE before_{view.name})) AS changed",
            f"EXCEPT SELECT key FROM (SELECT conveyor.window_keys('{view.name}') AS f) AS w, conveyor.frame_records(f) WHERE kind = 'k';",
            "COMMIT;"]
