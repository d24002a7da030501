"""Writes the pages of the API from the docstrings: python .ci/api_pages.py FOLDER; any warning of pdoc fails it.

pdoc looks for public names in a package's dictionary, where ours, imported when they are used, are not yet.
"""

import importlib
import os
import pkgutil
import sys
import warnings
from pathlib import Path

os.environ["PDOC_ALLOW_EXEC"] = "1"  # libraries ask for the processor when they are imported

import pdoc

import tfvision

names = ["tfvision", *(found.name for found in pkgutil.walk_packages(tfvision.__path__, "tfvision."))]
for package in map(importlib.import_module, names):
    vars(package).update({name: getattr(package, name) for name in getattr(package, "__all__", ())})

pdoc.render.configure(show_source=False)
with warnings.catch_warnings(record=True) as told:
    warnings.simplefilter("always", UserWarning)
    warnings.filterwarnings("ignore", "The module specification")  # a package brings modules that are named as well
    warnings.filterwarnings("ignore", r".*\bbeam\.")  # Apache Beam is an extra
    pdoc.pdoc(*names, output_directory=Path(sys.argv[1]))
faults = [str(one.message) for one in told if "pdoc" in Path(one.filename).parts]
print("\n".join(faults) or f"{len(names)} pages of the API")
sys.exit(bool(faults))
