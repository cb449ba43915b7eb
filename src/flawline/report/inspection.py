"""What an inspection's page and last lines say, and which pictures the page shows."""

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

SHOWN = 200  # pictures on a page at the most
VERDICTS = ("pass", "review", "reject", "not_judged")


def inspection_found(verdicts: pd.DataFrame, promise: str) -> list[str]:
    """Return what the inspection found, in sentences."""
    counts = verdicts["verdict"].value_counts()
    lines = [f"{len(verdicts)} images: {', '.join(f'{counts.get(name, 0)} {name}' for name in VERDICTS)}."]
    unjudged = verdicts[verdicts["verdict"] == "not_judged"].head(5).to_dict("records")
    lines += [f"not judged: {row['image']} {row['reason']}" for row in unjudged]
    return [*lines, promise]


def pictures_of(inspected: Any, *, near_misses: int) -> dict[str, NDArray[np.uint8]]:
    """Return the pictures (H, W, 3) of the rejected and the reviewed images, and of the passed ones with the highest
    scores, by image: at most SHOWN, the worst first."""
    table = inspected.verdicts().sort_values("score", ascending=False)
    wanted = [*table[table["verdict"].isin(["reject", "review"])]["image"],
              *table[table["verdict"] == "pass"]["image"].head(near_misses)]  # fmt: skip
    return {name: np.asarray(Image.open(inspected.pictures[name])) for name in wanted[:SHOWN]}
