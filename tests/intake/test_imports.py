import subprocess
import sys

HEAVY = {"torch", "skimage", "sklearn", "matplotlib", "mlflow", "kedro", "scipy.ndimage", "scipy.stats"}
ROOMS = [
    "intake.layouts",
    "intake.manifest",
    "intake.registration",
    "intake.examples",
    "vision.patches",
    "vision.alignment",
    "vision.defects",
    "vision.downsizing",
    "metrics.images",
    "metrics.maps",
    "metrics.shortcuts",
    "metrics.suitability",
    "storage.ragged",
    "storage.tensors",
]


def test_what_nodes_import_of_the_rooms_imports_nothing_heavy():
    """Every command imports these modules, and each of the heavy ones takes a third of a second or more."""
    code = f"import sys, {', '.join(f'flawline.{room}' for room in ROOMS)}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not HEAVY & set(done.stdout.split())
