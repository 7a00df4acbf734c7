#!/bin/sh
# Installs what serves into /opt/venv, while an image is built: deploy/install.sh '.[cpu]'
set -eu
if [ -s /run/secrets/ca.crt ]; then export PIP_CERT=/run/secrets/ca.crt; fi
# What builds the project's own wheel is held to the same versions; pip has had two names for that.
PIP_CONSTRAINT=$PWD/constraints.txt PIP_BUILD_CONSTRAINT=$PWD/constraints.txt \
    /opt/pip/bin/pip --python /opt/venv/bin/python3 install "$1"

# Which Python packages it is made of, for whoever has to know. The tool is not shipped.
python3 -m venv /opt/sbom
/opt/sbom/bin/pip install --requirement deploy/sbom.txt
mkdir -p /opt/venv/share/sbom
cd /opt/venv/share/sbom
/opt/sbom/bin/cyclonedx-py environment --output-reproducible --output-file sbom.json /opt/venv
python3 /src/deploy/licences.py sbom.json licences.tsv

# What never runs here: other packages' tests, onnxruntime's tools for making models, and its library
# for programs in C, which is in the Python module once more.
cd /opt/venv/lib/python3*/site-packages
find . -type d -name tests -prune -exec rm -rf {} +
rm -rf onnxruntime/transformers onnxruntime/quantization onnxruntime/tools onnxruntime/datasets \
    onnxruntime/backend onnxruntime/capi/libonnxruntime.so.*
