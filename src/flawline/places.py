"""Where results lie below data/: what a run is about, as a folder's name. The catalog's paths are made of it."""

IMAGES = "images"  # the protocol in which methods see whole photographs


def frame(category: str, protocol: str, variant: str) -> str:
    """Return the folder of a category's results: its own, or one in it for each other protocol and variant."""
    if protocol == IMAGES and not variant:
        return str(category)
    return f"{category}/{protocol}{f'-{variant}' if variant else ''}"


def images_folder(frame: str, protocol: str, seed: int) -> str:
    """Return the folder of the images that methods see: photographs are the same for all seeds, patches are drawn."""
    return frame if protocol == IMAGES else f"{frame}/seed-{seed}"
