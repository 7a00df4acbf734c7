"""Runs in an environment of its own, which has Ray: replicas on one machine, until told to stop.

python ray_cluster.py PORT FOLDER NAME=VALUE...
"""

from __future__ import annotations

import importlib
import sys
from typing import Any

MEMORY = 100 * 2**20  # of Ray's store of objects, which requests do not go through


def main(port: int, folder: str, *pairs: str) -> None:
    """Serve; once a line is read, take the application down as Ray does, and end."""
    ray: Any = importlib.import_module("ray")
    serve: Any = importlib.import_module("ray.serve")
    build: Any = importlib.import_module("deploy.ray_serve").app
    application = build(dict(pair.split("=") for pair in pairs))  # before there is a cluster
    ray.init(
        num_cpus=2,
        include_dashboard=False,
        object_store_memory=MEMORY,
        _node_ip_address="127.0.0.1",
        _temp_dir=folder,
        log_to_driver=False,
    )
    serve.start(http_options={"host": "127.0.0.1", "port": port})
    serve.run(application, route_prefix="/")
    print("ready", flush=True)
    sys.stdin.readline()
    serve.delete("default")
    print("gone", flush=True)
    serve.shutdown()
    ray.shutdown()


if __name__ == "__main__":
    main(int(sys.argv[1]), *sys.argv[2:])
