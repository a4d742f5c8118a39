"""The templates are ready before the first request."""

import subprocess
import sys

_RENDER_WITHOUT_COMPILER = """
from exporter.web.pages import assets
assets._TEMPLATES.__class__.compile = None
print(assets.render("problem.html", title="Title", problem="Problem", url_of=str))
"""


def test_no_request_waits_for_a_template_to_be_compiled() -> None:
    # In another process: here, other tests have compiled them.
    command = (sys.executable, "-c", _RENDER_WITHOUT_COMPILER)
    page = subprocess.run(command, capture_output=True, text=True, check=False)
    assert page.stderr == ""
    assert "Problem" in page.stdout
