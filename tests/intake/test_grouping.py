"""Things by what they have in common."""

from flawline.intake.grouping import grouped


def test_groups_and_their_items_come_in_order():
    assert list(grouped(["b1", "a1", "b2"], lambda item: item[0]).items()) == [("b", ["b1", "b2"]), ("a", ["a1"])]
    assert grouped([], len) == {}
