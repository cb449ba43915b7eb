"""On which scale the values of a category's images are read: 8 or 16 bits a channel, and of 16 those that are used.

Many cameras of 10, 12 or 14 bits write files of 16. On the full scale of 16 their images would be nearly black."""

import pandas as pd

from flawline.intake.measuring import USED, used_bits
from flawline.intake.notes import Note
from flawline.vision.levels import full_value

FEW = 0.1  # of the files, at most, that may be strays: at least one
APART = 2.0  # times as high as all other values, those of strays
DARK = 0.25  # of the scale: images that never reach it are dark
NAMED = 3  # strays


def usual_depth(rows: pd.DataFrame) -> int:
    """Return the depth, 8 or 16, that most normal images have."""
    return _most_normal(rows, rows["depth"])


def drop_odd_depths(rows: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return (rows, quarantine) with the images of the depth that most normal images have."""
    usual = usual_depth(rows)
    odd = rows["depth"] != usual
    reasons = rows.loc[odd, "depth"].map(lambda depth: f"has {depth} bits a channel; most normal images have {usual}")
    dropped = pd.DataFrame({"path": rows.loc[odd, "image"], "reason": reasons}, columns=["path", "reason"])
    return rows[~odd].reset_index(drop=True), dropped


def settle_bits(
    rows: pd.DataFrame, quarantine: pd.DataFrame, measured: pd.DataFrame, wanted: int | str
) -> tuple[pd.DataFrame, pd.DataFrame, list[Note]]:
    """Return (rows, quarantine, notes) with the ``bits`` a channel that 16-bit images use, the same for all of them.

    Those are used that the files say (packed TIFF, a TIFF tag), or else that hold the largest value of all; what says
    or holds otherwise is quarantined. ``wanted`` sets them by hand, 'auto' does not. ``measured`` has sha256, page,
    largest and bits. Where most normal images have 8 bits, nothing is settled."""
    values = measured.set_index(["sha256", "page"])[["largest", "bits"]]
    told = values.loc[list(zip(rows["sha256"], rows["page"], strict=True))].set_axis(rows.index)
    usual = rows["depth"] == usual_depth(rows)
    if not usual.any():
        return rows, quarantine, []
    if usual_depth(rows) == 8:
        idle = f"ingestion.bits = {wanted} is about 16-bit files and changes nothing: these have 8."
        notes = [] if wanted == "auto" else [Note(idle)]
        return rows, quarantine, [*notes, *_dark(told[usual], 8, "expose longer")]
    bits = choose_bits(rows[usual], told[usual]) if wanted == "auto" else int(wanted)
    notes = _notes(rows[usual], told[usual], bits, wanted)
    odd = usual & ~_fits(told, bits)
    beyond = pd.DataFrame({"path": rows.loc[odd, "image"], "reason": _reasons(told[odd], bits, wanted)})
    kept = rows.assign(bits=rows["bits"].mask(usual, bits))[~odd].reset_index(drop=True)
    return kept, pd.concat([quarantine, beyond], ignore_index=True), notes


def choose_bits(rows: pd.DataFrame, told: pd.DataFrame) -> int:
    """Return the bits that 16-bit images use: those that most files' tags say, if these are half of the normal images
    or the values of the others fit; else the fewest that hold the largest value of the files that say nothing."""
    silent = told["bits"] == 0
    held = used_bits(int(told.loc[silent, "largest"].max())) if silent.any() else 0
    if silent.all():
        return held
    usual = _most_normal(rows[~silent], told.loc[~silent, "bits"])
    normal = rows["label"] == 0
    return usual if held <= usual or 2 * int((normal & ~silent).sum()) >= int(normal.sum()) else held


def _most_normal(rows: pd.DataFrame, values: pd.Series) -> int:
    """Return the commonest of ``values`` among the normal images, the largest of several; among all where none is
    normal, and 0 of none."""
    normal = values[rows["label"] == 0]
    return int((values if normal.empty else normal).mode().max()) if len(values) else 0


def _fits(told: pd.DataFrame, bits: int) -> pd.Series:
    return (told["largest"] <= full_value(bits)) & told["bits"].isin([0, bits])


def _reasons(told: pd.DataFrame, bits: int, wanted: int | str) -> pd.Series:
    """Return for every image why it would not fit into so many bits."""
    by = "most normal images have" if wanted == "auto" else "ingestion.bits is"
    tags = told["bits"].map(lambda own: f"uses {own} bits of 16, as its TIFF tags say; {by} {bits}")
    values = told["largest"].map(lambda own: f"holds the value {own}, more than {full_value(bits)}; {by} {bits} bits")
    return tags.where(~told["bits"].isin([0, bits]), values)


def _notes(rows: pd.DataFrame, told: pd.DataFrame, bits: int, wanted: int | str) -> list[Note]:
    """Return on which scale 16-bit values are read, and a caution where that is in doubt or little of it is used."""
    usable = told[_fits(told, bits)]
    if usable.empty:
        return []
    silent = wanted == "auto" and not usable["bits"].any()
    strays = _strays(rows, told, bits) if silent else []
    remedy = "expose longer, or set ingestion.bits to what the camera has"
    return [_scale_note(usable, bits, wanted), *(strays or _dark(usable, bits, remedy))]


def _scale_note(usable: pd.DataFrame, bits: int, wanted: int | str) -> Note:
    full = full_value(bits)
    if wanted != "auto":
        why = f"as ingestion.bits = {wanted} says"
    elif usable["bits"].any():
        why = "as TIFF tags say"
    else:
        why = f"the largest value of all is {usable['largest'].max()}"
    return Note(f"16-bit files that use {bits} bits: values are read on the scale 0 to {full} ({why}).")


def _strays(rows: pd.DataFrame, told: pd.DataFrame, bits: int) -> list[Note]:
    """Return a caution if the scale is chosen because of a few files whose values lie far beyond all others'."""
    largest = told["largest"].sort_values(ascending=False, kind="stable")
    most = max(1, int(FEW * len(largest)))
    few = int((largest > full_value(USED[max(0, USED.index(bits) - 1)])).sum())
    if bits == USED[0] or not 0 < few <= min(most, len(largest) - 1):
        return []
    others = int(largest.iloc[few])
    if largest.iloc[few - 1] < APART * others:
        return []
    names = rows.loc[largest.index[:few], "image"].tolist()
    shown = ", ".join(names[:NAMED]) + (", ..." if few > NAMED else "")
    files = "1 file holds" if few == 1 else f"{few} files hold"
    lower = used_bits(others)
    said = (
        f"Of {len(largest)} files, {files} values up to {largest.iloc[0]} ({shown}); no other goes beyond {others}. "
        f"All are read on the scale 0 to {full_value(bits)}, on which the others are dark. If the others use {lower} "
        f"bits, ingestion.bits={lower} reads them so and puts the rest into quarantine."
    )
    return [Note(said, caution=True)]


def _dark(usable: pd.DataFrame, bits: int, remedy: str) -> list[Note]:
    """Return a caution if no image reaches a quarter of the scale."""
    largest, full = int(usable["largest"].max()), full_value(bits)
    said = (
        f"The images are dark: no value exceeds {largest} on the scale 0 to {full}. A network that is trained on them "
        f"learns little of what it could; {remedy}."
    )
    return [Note(said, caution=True)] if largest < DARK * full else []
