#!/usr/bin/env bash
# Builds all that is published from the tag that is checked out: sdist, wheel, Debian packages, wheelhouse, the built-in
# classifier of release 0.1, SHA256SUMS.
set -euo pipefail
cd "$(dirname "$0")/.."

version=$(sed -n 's/^__version__ = "\(.*\)"$/\1/p' daemon/pointsman/__init__.py)

refuse() {
    echo "no release: $1" >&2
    exit 1
}

[[ -z $(git status --porcelain) ]] || refuse "the checkout has changes: commit or remove what git status shows"
git tag --points-at HEAD | grep -qxF "v$version" || refuse "HEAD has no tag v$version, which is the version: git tag v$version"

SOURCE_DATE_EPOCH=$(git log -1 --format=%ct)
export SOURCE_DATE_EPOCH
rm -rf dist
"$PYTHON" -m build --no-isolation --outdir dist .
for suite in bookworm trixie; do
    "$PYTHON" packaging/deb.py "$suite" dist
done
"$PYTHON" packaging/wheelhouse.py dist
"$PYTHON" packaging/former_builtin.py dist
cd dist
sha256sum -- * >SHA256SUMS
