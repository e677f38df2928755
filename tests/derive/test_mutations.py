"""The judge can judge: with a part of the derivation taken out, the generated cases notice."""

import pytest

import generated
from mutations import MUTATIONS

SEEDS = range(1, 11)


@pytest.fixture(scope="module")
def noticed(results, workers):
    return {name: workers.submit(generated.noticed, name, SEEDS) for name in MUTATIONS}


@pytest.mark.parametrize("name", MUTATIONS)
def test_what_is_missing_from_a_derivation_is_noticed(name, noticed, record):
    cases = noticed[name].result()
    record(f"noticed in {cases} of {len(SEEDS)} cases: {name}")
    assert cases > 0
