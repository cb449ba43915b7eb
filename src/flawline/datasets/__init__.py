"""Kedro datasets that no library has: those that write write whole or not at all, but for the texts and pictures of
a library that only get a preview."""

from flawline.datasets.challenge_set import ChallengeSetDataset, KeptImagesDataset, LearnedDataset
from flawline.datasets.detector import DetectorDataset, RegisteredDetectorDataset
from flawline.datasets.handles import (
    CheckpointsDataset,
    FileDataset,
    FolderDataset,
    MachineDataset,
    NewestFileDataset,
    ProgressDataset,
    RunDataset,
)
from flawline.datasets.inspected import InspectedDataset
from flawline.datasets.measurements import KnownMeasurementsDataset, MeasurementsDataset
from flawline.datasets.previews import PageDataset, PictureDataset, PlainTextDataset
from flawline.datasets.ragged import RaggedDataset
from flawline.datasets.raw import RawFolderDataset
from flawline.datasets.registered import KnownRegistrationDataset
from flawline.datasets.verdicts import VerdictsDataset
from flawline.datasets.weights import WeightsDataset

__all__ = [
    "ChallengeSetDataset",
    "CheckpointsDataset",
    "DetectorDataset",
    "FileDataset",
    "FolderDataset",
    "InspectedDataset",
    "KeptImagesDataset",
    "KnownMeasurementsDataset",
    "KnownRegistrationDataset",
    "LearnedDataset",
    "MachineDataset",
    "MeasurementsDataset",
    "NewestFileDataset",
    "PageDataset",
    "PictureDataset",
    "PlainTextDataset",
    "ProgressDataset",
    "RaggedDataset",
    "RawFolderDataset",
    "RegisteredDetectorDataset",
    "RunDataset",
    "VerdictsDataset",
    "WeightsDataset",
]
