from flawline.pipelines.redrawing.pipeline import create_pipeline

__all__ = ["create_pipeline"]
