"""The table of all fuzz targets, shared by `make test` and `make fuzz`."""

from typing import Final

from tests.fuzz.device_targets import DEVICE_TARGETS
from tests.fuzz.file_targets import FILE_TARGETS
from tests.fuzz.text_targets import TEXT_TARGETS
from tests.fuzz.web_targets import WEB_TARGETS

TARGETS: Final = (*DEVICE_TARGETS, *FILE_TARGETS, *WEB_TARGETS, *TEXT_TARGETS)
