"""Make the description of the package from README.md, for hatchling: decision record 0022.

An index of packages has none of our files, so relative links lead nowhere there.
"""

import re
from pathlib import Path
from typing import Any, Final

from hatchling.metadata.plugin.interface import MetadataHookInterface

_RELATIVE: Final = r"\]\((?!https?:|#)"


class AbsoluteLinks(MetadataHookInterface):
    """Give the links of README.md the address of the repository."""

    def update(self, metadata: dict[str, Any]) -> None:
        """Set the dynamic field `readme`."""
        source = metadata["urls"]["Source"]
        pictures = source.replace("//github.com/", "//raw.githubusercontent.com/") + "/main/"
        text = (Path(self.root) / "README.md").read_text("utf-8")
        text = re.sub(rf"(!\[[^\]]*){_RELATIVE}", rf"\1]({pictures}", text)
        text = re.sub(_RELATIVE, f"]({source}/blob/main/", text)
        metadata["readme"] = {"content-type": "text/markdown", "text": text}
