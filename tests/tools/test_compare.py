"""tools/compare.py finds every way in which an index may differ from its view, and nothing else."""

import importlib.util
import pathlib

import pytest

TOOL = pathlib.Path(__file__).resolve().parents[2] / "tools" / "compare.py"
spec = importlib.util.spec_from_file_location("compare_tool", TOOL)
tool = importlib.util.module_from_spec(spec)
spec.loader.exec_module(tool)


def side(**documents):
    return [(key, tool.parse(text)) for key, text in documents.items()]


def test_equal_documents_are_equal_whatever_the_order_of_their_members():
    assert tool.compare(side(a='{"x": 1, "y": [1, 2]}'), side(a='{"y":[1,2],"x":1}')) == (1, {})


@pytest.mark.parametrize("other", ['{"x": 2}', '{"x": "1"}', '{"x": 1.0}', '{"x": null}', "{}", '{"x": 1, "y": null}', '{"x": [1]}', '{"x": "number 1"}'])
def test_a_document_with_other_content_is_named(other):
    assert tool.compare(side(a='{"x": 1}'), side(a=other)) == (0, {"a": "different content"})


def test_numbers_that_are_equal_but_spelled_differently_are_different_documents():
    assert tool.compare(side(a='{"x": 1.0}'), side(a='{"x": 1.00}'))[1] == {"a": "different content"}


def test_the_order_within_an_array_counts():
    assert tool.compare(side(a='{"x": [1, 2]}'), side(a='{"x": [2, 1]}'))[1] == {"a": "different content"}


def test_what_is_on_one_side_only_is_named():
    assert tool.compare(side(a="{}", b="{}"), side(b="{}", c="{}")) == (1, {"a": "only in the view", "c": "only in the index"})


def test_a_key_that_the_view_has_twice_is_named():
    assert tool.compare(side(a="{}") + side(a="{}"), side(a="{}"))[1] == {"a": "twice in the view"}
