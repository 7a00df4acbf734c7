#!/bin/sh
# Installs what serves into /opt/venv, while an image is built: deploy/install.sh '.[cpu]'
set -eu
if [ -s /run/secrets/ca.crt ]; then export PIP_CERT=/run/secrets/ca.crt; fi
/opt/pip/bin/pip --python /opt/venv/bin/python3 install --constraint constraints.txt "$1"
