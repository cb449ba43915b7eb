"""What is refused of the parameters of a command before anything is read."""

import pytest

from flawline.checks import FlawlineError
from flawline.hooks.parameters import check_raw


@pytest.mark.parametrize(("runtime", "message"), [
    ({"raw": "", "category": "bolt"}, "raw is empty; wanted a folder of photographs"),
    ({"raw": "  "}, "raw is empty"),
    ({"raw": "/photos/bolt"}, "raw=/photos/bolt has no category; wanted the name of what the photographs show"),
])  # fmt: skip
def test_raw_folder_needs_a_name_and_a_category(runtime, message):
    with pytest.raises(FlawlineError, match=message):
        check_raw(runtime)


@pytest.mark.parametrize("runtime", [{}, {"raw": None}, {"raw": "/photos/bolt", "category": "bolt"}, {"category": "x"}])
def test_other_commands_are_fine(runtime):
    check_raw(runtime)
