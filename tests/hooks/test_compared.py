"""The ten figures that a person compares stand first in MLflow, and are columns of a view of its runs."""

import base64
import json
import math
import zlib

import pandas as pd
import pytest
from mlflow.exceptions import MlflowException
from mlflow.utils.validation import MAX_EXPERIMENT_TAG_VAL_LENGTH, _validate_metric_name

from flawline.hooks.compared import COMPARED, NAMES, TAG, figures_of, offer_view, speed, view


@pytest.fixture
def logged(finished_once):
    """The metrics of the run of the method."""
    (run,) = [run for run in finished_once.mlflow_runs() if run.data.tags.get("method") == "cae"]
    return run.data.metrics


def state(text):
    """Return a view's state, unpacked as MLflow's page does it."""
    packed = json.loads(text)["state"]
    return json.loads(zlib.decompress(base64.b64decode(packed.removeprefix("deflate;"))))


def table(*a90, kind="stain"):
    return pd.DataFrame({"kind": kind, "contrast": [0.1 * (1 + k) for k in range(len(a90))], "a90": a90})


def test_ten_figures_keep_their_order_where_mlflow_sorts_by_name():
    assert len(COMPARED) == 10
    others = ["A", "a50.line.0.05", "accuracy", "image_auroc", "system/cpu"]
    assert sorted([*reversed(NAMES.values()), *others])[:10] == list(NAMES.values())
    assert [name.partition("_")[2] for name in NAMES.values()] == list(COMPARED)


def test_a_run_of_an_example_logs_them_as_they_are_stored(finished_once, logged):
    names = ("cae.metrics", "cae.thresholds", "cae.verdicts", "cae.detectability", "cae.sized_verdicts")
    metrics, thresholds, verdicts, found, sized = finished_once.load_all(*names)
    wanted = {NAMES[name]: metrics["values"][name] for name in COMPARED[:5]}
    wanted |= {"5_overkill_max": thresholds["reject"]["promised_overkill"]}
    wanted |= {"6_review_share": (verdicts["verdict"] == "review").sum() / len(verdicts)}
    wanted |= {"7_pseudo_found": metrics["values"]["pseudo_detection_rate"]}
    strongest = found[found["kind"] == "stain"]["a90"].iloc[-1] if len(found) else math.inf
    wanted |= {"8_a90_stain": strongest} if 0 < strongest < math.inf else {}
    ours = {name: value for name, value in logged.items() if name in NAMES.values()}
    assert ours.pop("9_images_per_s") > 0
    assert len(sized) > 0
    assert ours == pytest.approx(wanted)


def test_the_experiment_has_the_view(finished_once):
    assert finished_once.client.get_experiment_by_name("flawline").tags[TAG] == view()


def test_the_view_shows_the_ten_and_no_run_but_those_of_methods(finished_once):
    shown = state(view())
    assert shown["selectedColumns"] == [f"metrics.`{name}`" for name in NAMES.values()]
    assert len(view()) < MAX_EXPERIMENT_TAG_VAL_LENGTH
    experiment = finished_once.client.get_experiment_by_name("flawline").experiment_id
    order = [f"{shown['orderByKey']} ASC"]
    found = finished_once.client.search_runs([experiment], shown["searchFilter"], order_by=order)
    assert [run.data.tags["method"] for run in found] == ["cae"]


def test_names_are_such_as_mlflow_takes():
    for name in NAMES.values():
        _validate_metric_name(name)


def test_what_each_dataset_tells():
    assert figures_of("metrics", {"values": {"image_auroc": 0.9, "iou": 0.1}}) == {"0_image_auroc": 0.9}
    assert figures_of("metrics", {"values": {"pseudo_detection_rate": 0.7}}) == {"7_pseudo_found": 0.7}
    assert figures_of("thresholds", {"reject": {"promised_overkill": 0.04}}) == {"5_overkill_max": 0.04}
    verdicts = pd.DataFrame({"verdict": ["pass", "review", "reject", "pass"]})
    assert figures_of("verdicts", verdicts) == {"6_review_share": 0.25}
    assert figures_of("scores", verdicts) == figures_of("verdicts", verdicts[:0]) == {}


def test_the_size_of_stains_is_that_of_the_strongest_contrast_where_it_was_found():
    assert figures_of("detectability", table(30.0, 20.0, 12.5)) == {"8_a90_stain": 12.5}
    for sizes in ((30.0, math.inf), (30.0, 0.0), ()):
        assert figures_of("detectability", table(*sizes)) == {}
    assert figures_of("detectability", table(5.0, kind="line")) == {}


def test_speed_is_images_by_seconds_and_none_of_no_image():
    assert speed(128, 4.0) == {"9_images_per_s": 32.0}
    assert speed(0, 1.0) == {}


def test_the_view_is_written_once(finished_once):
    class Reader:
        """Reads from a store, and may not write."""

        get_experiment = finished_once.client.get_experiment

    offer_view(Reader(), finished_once.client.get_experiment_by_name("flawline").experiment_id)


def test_a_store_that_lets_nobody_tag_an_experiment_does_not_stop_a_run():
    class Strict:
        asked = 0

        def get_experiment(self, _):
            self.asked += 1
            raise MlflowException("permission denied")

    strict = Strict()
    offer_view(strict, "1")
    assert strict.asked == 1
