"""Packaging: `cli/` at the top level is installed as `tfvision.cli`; all else is in setup.cfg."""

from setuptools import find_packages, setup

setup(
    packages=[*find_packages(include=["tfvision", "tfvision.*"]), "tfvision.cli"],
    package_dir={"tfvision.cli": "cli"},
)
