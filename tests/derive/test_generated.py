"""Random schemas, views and work: the windows report every document that has changed (case.py says how that is judged)."""

import pytest

from generated import Report

# Reported documents for each one that changed, over all generated cases. The tables hold a handful of rows, all of which join with one
# another, so this is far above what real data give (test_schemas.py).
BOUND = 3.0
# The share of views without a trap that may be refused.
REFUSED = 0.05


def test_no_changed_document_is_missed(block, results):
    failures = results[block].result().failures
    assert not failures, "\n\n".join(text for _, text in failures)


@pytest.fixture(scope="module")
def total(results):
    total = Report()
    for result in results.values():
        total.add(result.result())
    return total


def test_refreshes_without_need_are_bounded(total, record):
    counts = total.counts
    record(f"generated: {counts['schemas']} schemas, {counts['views']} views, {counts['statements']} statements, {counts['cases']} windows compared, "
           f"{counts['cases with changed documents']} of them with changed documents; {counts['changed']} documents changed, {counts['reported']} were reported, "
           f"{counts['unneeded']} of them without need")
    record("followed: " + ", ".join(f"{form} {count}" for form, count in sorted(total.forms.items())))
    record("refused: " + "; ".join(f"{message} ({count})" for message, count in (total.refused_traps + total.refusals).most_common()))
    assert counts["reported"] <= BOUND * counts["changed"]


def test_what_can_be_followed_is_not_refused(total):
    """Some forms are no trap and still concern every document: NULLs that a NOT IN over an outer join meets, for one."""
    refused = sum(total.refusals.values())
    assert refused <= REFUSED * total.counts["views"], dict(total.refusals)
