"""The four code folders stand at the top level; links inside reaging/ make them one package (docs/architecture.md)."""

from setuptools import find_packages, setup

# find_packages does not follow links on every platform: name the linked folders' packages by where they really are
LINKED = ("export", "runtime", "benchmarks")
packages = ["reaging"] + [f"reaging.{p}" for p in find_packages("reaging", exclude=[f"{n}*" for n in LINKED])]
package_dir = {}
for folder in LINKED:
    for name in [folder] + [f"{folder}.{p}" for p in find_packages(folder)]:
        packages.append(f"reaging.{name}")
        package_dir[f"reaging.{name}"] = name.replace(".", "/")

setup(packages=packages, package_dir=package_dir)
