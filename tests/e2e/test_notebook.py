"""A notebook with a live kernel: stages while the cluster starts, and the widget of a cluster."""

from __future__ import annotations

import json
import subprocess

import pytest
import uv

from tests.e2e.session import Session

pytestmark = [pytest.mark.long, pytest.mark.timeout(600)]

NOTEBOOK = '''
import json, sys
import nbformat
from jupyter_client.kernelspec import KernelSpecManager
from nbclient import NotebookClient

cells = [
    "import shoal; cluster = shoal.Cluster(n_workers=1, worker_cpu=1)",
    "cluster",
    "client = cluster.get_client(); client.submit(lambda x: x + 1, 1).result()",
    """
import time
from IPython.display import display
def double(x):
    return 2 * x
tab = cluster._widget()
before = tab.children[0].value
display(cluster.details())
client.gather(client.map(double, range(7)))
cluster.scale(2)
client.wait_for_workers(2)
deadline = time.monotonic() + 40
while "2 of 2 ready" not in tab.children[0].value and time.monotonic() < deadline:
    time.sleep(0.2)
time.sleep(4)
print("BEFORE", before)
print("AFTER", tab.children[0].value)
""",
    "client.close(); cluster.close()",
]
notebook = nbformat.v4.new_notebook()
notebook.cells = [nbformat.v4.new_code_cell(it) for it in cells]
NotebookClient(notebook, timeout=240, kernel_name="python3").execute()
told = [
    [output.get("data") or {"said": output.get("text")} for output in cell.outputs]
    for cell in notebook.cells
]
print("told", json.dumps(told))
'''


def test_a_notebook_shows_stages_a_widget_and_a_result(session: Session) -> None:
    uv_bin, packages = uv.find_uv_bin(), ["ipykernel", "ipywidgets", "nbclient"]
    command = [uv_bin, "pip", "install", "--quiet", "--python", session.python, *packages]
    subprocess.run(command, check=True)
    try:
        [line] = [it for it in session.run(NOTEBOOK, timeout_s=500) if it.startswith("told ")]
    finally:
        command[2:4] = ["uninstall"]
        subprocess.run(command, check=True)
    stages, widget, result, live, end = json.loads(line.removeprefix("told "))
    assert "1 of 1 workers are here" in stages[-1]["text/html"]
    assert "application/vnd.jupyter.widget-view+json" in widget[0]
    assert "Cluster(" in widget[0]["text/plain"]
    assert result[0]["text/plain"] == "2"
    assert end == []
    details, said = live[0]["text/html"], live[1]["said"]
    before, _, after = said.partition("AFTER")
    assert "1 of 1 ready" in before
    assert "2 of 2 ready" in after
    assert " so far, $" in after
    assert "7 of 7" in details  # what ran after it was displayed, and so was not in it at first
    assert "2 of 2 ready" in details
