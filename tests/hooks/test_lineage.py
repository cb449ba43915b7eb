"""Stale, half-written or changed results are refused, with the reason and the command; harmless changes are not."""

import pytest

from flawline.checks import FlawlineError
from flawline.hooks.lineage import (
    LineageHook,
    StaleError,
    Stamp,
    find_recipes,
    read_by,
    read_stamp,
    stamp_path,
    write_stamp,
)
from flawline.hooks.parameters import check_paths_agree
from flawline.pipeline_registry import register_pipelines

COSTS = {f"evaluation.costs.{name}": value for name, value in
         {"escape": 100, "overkill": 5, "review": 1, "defect_rate": 0.1}.items()}  # fmt: skip
MODELS, OUTPUT = "06_models/chess/seed-0/cae", "07_model_output/chess/seed-0/cae"


def test_changed_parameter_of_the_data_is_refused_by_training(finished):
    with pytest.raises(StaleError) as refused:
        finished.run("training", **{"registration.color": "rgb"})
    said = str(refused.value)
    assert "images is stale: since it was made, registration.color went from 'auto' to 'rgb'" in said
    nodes = "draw_example,choose_alignment,register"
    assert f"kedro run --pipelines=cae --nodes={nodes} --env=smoke --params category=chess,seed=0" in said


def test_changed_parameter_of_training_is_refused_by_embedding(finished):
    with pytest.raises(
        StaleError, match=r"(?s)cae.train.epochs went from 2 to 3.*kedro run --pipelines=cae --nodes=cae.train"
    ):
        finished.run("embedding", **{"cae.train.epochs": 3})


def test_results_of_another_environment_are_refused(finished):
    with pytest.raises(StaleError, match="went from"):
        finished.run("reporting", env="local")


def test_existing_results_are_not_taken_for_missing_ones_made_by_other_parameters(finished):
    with pytest.raises(StaleError, match=r"cae.train.epochs went from 2 to 3"):
        finished.run(options={"only_missing_outputs": True}, **{"cae.train.epochs": 3})


def test_the_command_that_is_told_makes_it_right(finished):
    changed = {"cae.scorer.smoothing": 1.0}
    with pytest.raises(StaleError, match=r"--nodes=cae.score_images"):
        finished.run("evaluation", **changed)
    finished.run("embedding,evaluation", **changed)


def test_a_changed_scorer_does_not_train_again(compared_once):
    with compared_once.session(**{"cpcae.scorer.k": 1}) as session:
        lineage = LineageHook.over(session.load_context(), register_pipelines()["cpcae"])
        left = lineage.unfinished(register_pipelines()["cpcae"])
    assert "cpcae.fit_one_class" in left
    assert not {"cpcae.shrink_images", "cpcae.train", "cpcae.reconstruct"} & set(left)


def test_another_manifest_is_refused(registered, photographs):
    project, parts = registered, registered.path / "parts"
    own = {"category": "parts", "raw": str(parts)}
    photographs(parts / "good" / "more", 1, seed=7)
    project.run("ingestion", **own)
    with pytest.raises(
        StaleError, match=r"(?s)images is stale.*another manifest.*--nodes=draw_example,choose_alignment,register "
    ):
        project.run("patching", **own)
    project.run("registration,patching", **own)


def test_the_raw_folder_has_to_be_named_only_where_it_is_read(registered):
    project = registered
    project.run("patching", category="parts")
    with pytest.raises(FlawlineError, match=r"no folder .*01_raw/parts.*raw=FOLDER"):
        project.run("registration", category="parts")


def test_half_written_entry_is_refused(finished):
    stamp_path(finished.path / "data" / MODELS / "weights.safetensors").unlink()
    with pytest.raises(StaleError, match=r"cae.weights \(data/06_models.*is not whole(?s:.*)--nodes=cae.train"):
        finished.run("embedding")


@pytest.mark.parametrize(
    ("name", "file", "stage"),
    [
        ("cae.scores", f"{OUTPUT}/scores.csv", "evaluation"),
        ("images", "03_primary/chess/images/index.json", "training"),
        ("manifest", "02_intermediate/chess/manifest.csv", "registration"),
    ],
)
def test_entry_changed_by_hand_is_refused(finished, name, file, stage):
    path = finished.path / "data" / file
    path.write_text(path.read_text() + "\n")
    with pytest.raises(StaleError, match=rf"{name} .*was changed by hand"):
        finished.run(stage)


def test_entry_that_is_gone_is_told_with_the_command(finished):
    (finished.path / "data" / OUTPUT / "scores.csv").unlink()
    with pytest.raises(
        FlawlineError,
        match=r"cae.scores is not there yet.\nMake it with: kedro run --pipelines=cae --nodes=cae.tabulate_scores ",
    ):
        finished.run("evaluation")


def test_a_parameter_that_came_later_and_is_null_makes_no_older_result_stale(finished):
    path = finished.path / "data" / OUTPUT / "scores.csv"
    stamp = read_stamp(path)
    params = {name: value for name, value in stamp["params"].items() if value is not None}
    assert len(params) < len(stamp["params"])
    write_stamp(path, Stamp(**stamp | {"params": params}))
    finished.run("evaluation")


def test_costs_make_thresholds_stale_and_no_scores(finished):
    with pytest.raises(StaleError) as refused:
        finished.run("reporting", **COSTS)
    assert "evaluation.costs.escape went from None to 100" in str(refused.value)
    assert "--nodes=cae.calibrate" in str(refused.value)


def test_number_of_threads_does_not_matter(finished):
    finished.run("evaluation", **{"compute.threads": 2})


def test_older_detector_is_used_when_asked_for_although_parameters_changed(finished, capsys):
    images = str(finished.path / "data/01_raw/chess/test/good")
    old = finished.newest(f"{MODELS}/detector.safetensors/*").name
    finished.run("evaluation", **{"evaluation.target_overkill": 0.05})  # a newer one
    new = finished.newest(f"{MODELS}/detector.safetensors/*").name
    assert new > old
    with pytest.raises(StaleError) as refused:
        finished.run("inspection", images=images)
    assert "evaluation.target_overkill went from 0.05 to 0.01" in str(refused.value)
    assert f"Or use it as it is: --load-versions=cae.detector:{new}" in str(refused.value)
    capsys.readouterr()
    for version, promise in ((old, "1 % overkill, which needs"), (new, "5 % overkill, which needs")):
        finished.run("inspection", images=images, options={"load_versions": {"cae.detector": version}})
        assert promise in capsys.readouterr().out


def test_broken_detector_is_refused_even_when_asked_for(finished):
    path = finished.newest(f"{MODELS}/detector.safetensors/*/detector.safetensors")
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(StaleError, match="is not whole"):
        finished.run("inspection", images="data/01_raw/chess/test/good",
                     options={"load_versions": {"cae.detector": path.parent.name}})  # fmt: skip


def test_unknown_version_is_told(finished):
    with pytest.raises(FlawlineError, match=r"cae.detector is not there yet"):
        finished.run(
            "inspection", images="data", options={"load_versions": {"cae.detector": "2020-01-01T00.00.00.000Z"}}
        )


def test_recipes_go_all_the_way_up():
    values = {
        "category": "a",
        "ingestion.layout": "auto",
        "cae.train.epochs": 3,
        "cae.scorer.smoothing": 1,
        "compute.threads": 1,
    }
    nodes = [node for pipeline in register_pipelines().values() for node in pipeline.nodes]
    recipes = find_recipes(nodes, values)
    assert recipes["manifest"].params == {"category": "a", "ingestion.layout": "auto"}
    assert recipes["cae.weights"].params == {"category": "a", "ingestion.layout": "auto", "cae.train.epochs": 3}
    assert recipes["cae.scores"].params.keys() == values.keys() - {"compute.threads"}
    assert {name: recipes[name].node.name for name in ("images", "cae.weights", "cae.maps")} == {
        "images": "register", "cae.weights": "cae.train", "cae.maps": "cae.score_images",
    }  # fmt: skip
    assert not recipes["manifest"].on_manifest
    assert all(recipes[name].on_manifest for name in ("images", "cae.weights", "cae.detector", "report"))


def test_maps_of_older_weights_are_refused(finished):
    changed = {"cae.train.epochs": 3}
    finished.run("training,embedding", **changed)
    weights = finished.newest("06_models/chess/seed-0/cae/weights.safetensors")
    stamp = read_stamp(weights)
    write_stamp(weights, Stamp(**{**stamp, "content": "of other weights, made with the same parameters"}))
    with pytest.raises(StaleError) as refused:
        finished.run("evaluation", **changed)  # the first of what was made with them is named
    said = str(refused.value)
    assert "cae.pseudo_scores is stale: since it was made, cae.weights was made again" in said
    nodes = ("train", "reconstruct", "score_images", "tabulate_scores", "score_pseudo_defects")
    assert f"--nodes={','.join(f'cae.{name}' for name in nodes)}" in said


def test_a_seed_that_only_the_parameters_know_is_refused():
    with pytest.raises(FlawlineError, match=r"seed is 3 among the parameters, but 0 in the paths.*--params seed="):
        check_paths_agree({"category": "chess", "seed": 3}, {"category": "chess", "seed": 0})


@pytest.mark.parametrize(
    ("category", "read"),
    [
        ("chess", {"examples.chess.seed"}),
        ("grass", {"examples.surface.crop", "examples.surface.gaussian.sigma"}),
        ("riblet-albedo", {"examples.riblet.period", "examples.riblet.albedo.train"}),
        ("bolt", set()),
    ],
)
def test_of_the_examples_only_the_categorys_own_family_matters(category, read):
    values = dict.fromkeys(
        [
            "category", "seed", "examples.chess.seed", "examples.surface.crop", "examples.surface.gaussian.sigma",
            "examples.riblet.period", "examples.riblet.albedo.train",
        ],
        1,
    ) | {"category": category}  # fmt: skip
    (node,) = (node for node in register_pipelines()["ingestion"].nodes if node.name == "draw_example")
    assert read_by(node, values).keys() == read | {"category"}


def unfinished(project, pipeline, **params):
    with project.session(**params) as session:
        line = register_pipelines()[pipeline]
        return LineageHook.over(session.load_context(), line).unfinished(line)


def test_nothing_is_unfinished_after_a_run_and_everything_before_one(finished):
    assert unfinished(finished, "cae") == []
    assert len(unfinished(finished, "cae", category="noise")) == len(register_pipelines()["cae"].nodes)


def test_what_follows_a_missing_result_and_what_memory_lost_is_unfinished(finished):
    (finished.path / "data" / OUTPUT / "thresholds.json").unlink()
    assert unfinished(finished, "cae") == [
        "cae.calibrate", "cae.evaluate", "cae.finish_detector", "cae.judge_tests", "cae.list_operating_points",
        "cae.gather_result", "cae.judge_sized_defects", "compare", "cae.tell_detectability", "cae.add_beside",
        "cae.make_card", "report",
    ]  # fmt: skip


def test_a_missing_page_needs_what_only_memory_held(finished):
    finished.newest("08_reporting/chess/seed-0/report.html/*/report.html").unlink()
    assert unfinished(finished, "cae") == ["cae.gather_result", "cae.add_beside", "report"]


def test_another_seed_shares_what_does_not_depend_on_it(finished):
    left = unfinished(finished, "cae", seed=1)
    assert "cae.train" in left
    assert not {"ingest", "register", "cae.index_grid"} & set(left)


def test_of_a_papers_line_the_other_methods_and_the_common_table_are_unfinished(finished):
    left = set(unfinished(finished, "schneider2022"))
    assert {"vae.train", "aae.train", "compare", "report"} <= left
    assert not {"cae.train", "cae.evaluate"} & left


@pytest.mark.parametrize(
    ("align", "read"), [("rigid", {"registration"}), ("auto", {"registration", "defect_injection"})]
)
def test_what_alignments_are_tried_by_matters_to_images_only_where_one_is_chosen(align, read):
    node = next(each for each in register_pipelines()["registration"].nodes if each.name == "choose_alignment")
    values = {"registration.align": align, "defect_injection.most": 9, "seed": 3, "patch_memory.scorer.size": 64}
    assert {name.partition(".")[0] for name in read_by(node, values)} - {"patch_memory"} == read
    assert ("patch_memory.scorer.size" in read_by(node, values)) == (align == "auto")
