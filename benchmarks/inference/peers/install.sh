#!/bin/sh
# Installs the peers that the benchmarks compare with into DIR, each in a venv of its own (9 GB in all).
# A peer that cannot be installed is reported and skipped; the benchmarks run without it.
set -u
DIR=${1:?usage: install.sh DIR [optimum] [openvino] [infinity]}
shift
PYTHON=${PYTHON:-python3}
status=0

install() { # NAME REQUIREMENT...
    name=$1
    shift
    venv="$DIR/$name"
    if [ -e "$venv/installed" ]; then
        return
    fi
    "$PYTHON" -m venv "$venv" && "$venv/bin/pip" install --quiet "$@" && touch "$venv/installed" && return
    echo "$name: not installed" >&2
    status=1
}

for peer in ${*:-optimum openvino infinity}; do
    case $peer in
    optimum) install optimum "optimum-onnx[onnxruntime]==0.1.0" transformers==4.57.6 torch==2.13.0 fastapi uvicorn ;;
    openvino) install openvino openvino==2026.4.1 nncf onnx ;;
    infinity)
        # Not [all], whose vision models need an older torch.
        install infinity "infinity-emb[server,torch,optimum]==0.0.78" "optimum-onnx[onnxruntime]==0.1.0" \
            transformers==4.57.6 torch==2.13.0
        # infinity passes optimum a path instead of a name, so optimum finds no ONNX classifier.
        sed -i 's/file_name=onnx_file.as_posix()/file_name=onnx_file.name/' \
            "$DIR"/infinity/lib/python*/site-packages/infinity_emb/transformer/classifier/optimum.py
        ;;
    *) echo "$peer: no such peer" >&2 && status=1 ;;
    esac
done
exit $status
