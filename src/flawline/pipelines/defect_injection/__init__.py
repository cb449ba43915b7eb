from flawline.pipelines.defect_injection.pipeline import create_pipeline

__all__ = ["create_pipeline"]
