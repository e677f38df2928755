"""The judge of every scenario: view and index hold the same documents, compared both ways by content."""

import json

PINNED = "-c TimeZone=UTC -c DateStyle=ISO -c IntervalStyle=iso_8601 -c extra_float_digits=1 -c bytea_output=hex -c jit=off"


def canonical(document):
    """JSON text in which equal documents are equal: keys sorted; numbers as they were written."""
    return json.dumps(document, sort_keys=True, ensure_ascii=False)


def key_expression(key):
    if len(key) == 1:
        return f'v."{key[0]}"::text'
    return "array_to_json(ARRAY[{}])::text".format(", ".join(f'v."{column}"::text' for column in key))


def view_documents(delivery, where="true"):
    """What the view says now: {id: document}. Read in pages through a cursor, as the tables' owner sees it."""
    connection = delivery.database.connect(autocommit=False, options=PINNED)
    found = {}
    try:
        with connection.cursor("documents") as cursor:
            cursor.itersize = 5000
            cursor.execute(f"SELECT {key_expression(delivery.key)}, row_to_json(v)::text FROM {delivery.view} v WHERE {where}")
            for key, text in cursor:
                assert key not in found, f"the view has the key {key} twice"
                found[key] = json.loads(text, parse_float=str)
    finally:
        connection.close()
    return found


def differences(expected, found):
    """What is wrong in the index, as (missing, extra, different): lists of ids."""
    missing = [key for key in expected if key not in found]
    extra = [key for key in found if key not in expected]
    different = [key for key in expected if key in found and canonical(expected[key]) != canonical(found[key])]
    return missing, extra, different


def assert_equal_both_ways(delivery, where="true", dead=()):
    """Every document of the view is in the index with the same content, and nothing else is. `dead` names documents that may only be dead letters."""
    expected = {key: document for key, document in view_documents(delivery, where).items() if key not in dead}
    found = {key: document for key, document in delivery.search.documents(delivery.alias).items() if key not in dead}
    missing, extra, different = differences(expected, found)
    if missing or extra or different:
        example = next(iter(different), None)
        detail = f"\nexpected {canonical(expected[example])}\nfound    {canonical(found[example])}" if example else ""
        raise AssertionError(
            f"of {len(expected)} documents {len(missing)} are missing {missing[:5]}, {len(different)} differ {different[:5]}; "
            f"{len(extra)} are too many {extra[:5]}{detail}\nstatus {delivery.status()}"
        )
    return len(expected)
