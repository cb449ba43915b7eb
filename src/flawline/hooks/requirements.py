"""As soon as the folder is read, every method of the run is asked whether it can serve the images."""

from typing import TYPE_CHECKING, Any

from kedro.framework.context import KedroContext
from kedro.framework.hooks import hook_impl
from kedro.io import DataCatalog
from kedro.pipeline import Pipeline

from flawline.methods.registry import METHODS
from flawline.pipelines.boxes import method_of

if TYPE_CHECKING:
    import pandas as pd

LEARNED = ("train", "validation")


class RequirementsHook:
    """Asks once the manifest is made, or before the run where it is there already."""

    @hook_impl
    def after_context_created(self, context: KedroContext) -> None:
        self.tree = context.config_loader["parameters"]
        self.methods: list[str] = []

    @hook_impl
    def before_pipeline_run(self, pipeline: Pipeline, catalog: DataCatalog) -> None:
        scoring = {method_of(node) for node in pipeline.nodes if "embedding" in node.tags}
        self.methods = [name for name in METHODS if name in scoring]
        if self.methods and "manifest" not in pipeline.all_outputs() and catalog.exists("manifest"):
            self.check(catalog.load("manifest"))

    @hook_impl
    def after_dataset_saved(self, dataset_name: str, data: Any) -> None:
        if dataset_name == "manifest" and self.methods:
            self.check(data)

    def check(self, manifest: "pd.DataFrame") -> None:
        """Raise FlawlineError if a method of the run cannot serve the images of ``manifest``."""
        from flawline.methods.requirements import check_methods

        count = int((manifest["split"].isin(LEARNED)).sum())
        check_methods(self.methods, self.tree, self._shapes(manifest), count, manifest["image"].tolist())

    def _shapes(self, manifest: "pd.DataFrame") -> list[tuple[int, ...]] | None:
        """Return the images' shapes (C, H, W) as they will be stored; None where only the registration knows."""
        from flawline.intake.registration import cuts_ends

        registration = self.tree["registration"]
        if registration["align"] != "none" or cuts_ends(manifest, registration["trim_ends"]):
            return None
        sizes = manifest[["channels", "height", "width"]].itertuples(index=False)
        return [tuple(map(int, size)) for size in sizes]
