from small_detector import Offset, detector, offset_model, photographs

__all__ = ["Offset", "detector", "offset_model", "photographs"]
