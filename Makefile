# One verb per job. `make serve` and `make test` need nothing but Python 3.11 or newer.

PYTHON ?= python3
BIN := .venv/bin
PACKAGES := models export service benchmarks experiments tests docs
SOURCES := pyproject.toml constraints.txt
EXPERIMENTS := scaling compiled discontinuous approximation latent_dim figure1 figure2 architectures \
               copying trained

.PHONY: serve test packages lint types format bench bench-segment-sum bench-graph bench-json \
        bench-peers bench-wires bench-online bench-stream bench-explain bench-observability bench-soak \
        gpu-prepare gpu-check reference digits experiments checkpoints bundles image test-image \
        bare-image sbom test-deploy test-faults test-containers test-clusters test-watch clean

serve: .venv/serve  ## serve the shipped bundles on 127.0.0.1:8080
	$(BIN)/sumserve serve --models deploy/bundles

test: .venv/all packages  ## the whole suite, but for what takes containers or minutes
	$(BIN)/pytest -m "not deploy"

packages:  ## a browser, balancers and curl to test with: on Debian, as root
	tests/bring.sh chromium chromium fonts-liberation
	tests/bring.sh haproxy haproxy
	tests/bring.sh nginx nginx-light
	tests/bring.sh envsubst gettext-base
	tests/bring.sh curl curl

lint: .venv/all  ## ruff: rules and format
	$(BIN)/ruff check $(PACKAGES)
	$(BIN)/ruff format --check $(PACKAGES)

types: .venv/all  ## mypy, strict
	$(BIN)/mypy

format: .venv/all  ## rewrite to the format that lint checks
	$(BIN)/ruff check --fix $(PACKAGES)
	$(BIN)/ruff format $(PACKAGES)

reference: .venv/all  ## the benchmarks' models -> build/bundles
	$(BIN)/python -m benchmarks.reference

bench: reference  ## packed against padded and one at a time, offline
	$(BIN)/python -m benchmarks.offline
	$(BIN)/python -m benchmarks.picture

bench-segment-sum: .venv/all  ## ways to sum per sequence
	$(BIN)/python -m benchmarks.segment_sum
	$(BIN)/python -m benchmarks.segment_sum --threads 1 \
		--out benchmarks/results/segment_sum_1_thread.json

bench-graph: reference  ## the served graphs against every other way to run the same weights
	$(BIN)/python -m benchmarks.graph

bench-soak: reference  ## half an hour at 80 % load, and a control that leaks
	$(BIN)/python -m benchmarks.soak

bench-json: reference  ## ways to read JSON into an array
	$(BIN)/python -m benchmarks.json_parsers

bench-peers: .venv/all  ## install the servers to compare with, each into an environment of its own
	$(BIN)/python -m benchmarks.peers

bench-online: reference bench-peers  ## under load, beside every peer; 40 minutes, needs wrk
	$(BIN)/python -m benchmarks.online

bench-wires: reference bench-peers  ## server time besides the model, on every wire, beside others
	$(BIN)/python -m benchmarks.wires

bench-stream: reference  ## a sequence of any length: time per token, memory, what it does to others
	$(BIN)/python -m benchmarks.stream --tokens 100000000

bench-explain: reference  ## what every token changes, against a prediction of the same tokens
	$(BIN)/python -m benchmarks.explain

bench-observability: reference  ## what metrics, logs, drift and traces cost; needs wrk
	$(BIN)/python -m benchmarks.observability

gpu-prepare: .venv/all  ## what gpu-check needs besides the code -> build/gpu, on any machine
	$(BIN)/python -m benchmarks.gpu_check --prepare

gpu-check:  ## with an NVIDIA GPU and onnxruntime-gpu: placement, parity, races, memory, speed
	$(PYTHON) -m benchmarks.gpu_check

digits: .venv/all  ## from nothing to accuracy through a server: train, export, serve, POST
	$(BIN)/python -m benchmarks.accuracy

experiments: .venv/all  ## the papers' experiments; finished cells are kept, so it can be stopped
	for name in $(EXPERIMENTS); do $(BIN)/python -m experiments.$$name || exit; done

checkpoints: .venv/all  ## train what ships in models/checkpoints, and its table; hours on 2 cores
	$(BIN)/python -m experiments.trained

bundles: .venv/all  ## export every shipped checkpoint, some to deploy/bundles; half an hour
	$(BIN)/python -m benchmarks.bundles

image:  ## build the container image, with the docker daemon that answers
	deploy/image.sh

test-image: .venv/all  ## run the image and POST to it
	$(BIN)/pytest -rs -m "container and not deploy" tests/deploy

sbom:  ## the image's Python packages, with licences -> build/sbom
	mkdir -p build
	id=$$(docker create $${IMAGE:-sumserve:dev}) && trap "docker rm $$id >/dev/null" EXIT && \
		docker cp $$id:/opt/venv/share/sbom build
	cat build/sbom/licences.tsv

bare-image:  ## the two above on a bare Debian machine, as root: brings its own docker
	deploy/bare.sh $(MAKE) image test-image

test-deploy:  ## all of deploy/, on Debian, as root; one after the other even with -j: they are measured
	rm -f build/faults.md
	$(MAKE) test-faults
	$(MAKE) test-containers
	$(MAKE) test-clusters
	$(MAKE) test-watch

test-faults: .venv/all packages  ## replicas broken behind the balancers -> build/faults.md
	tests/bring.sh faketime faketime
	FAULT_REQUESTS=5000 FAULT_SECONDS=60 \
		$(BIN)/pytest -rs -m "not container" tests/deploy/faults

test-containers: .venv/all packages  ## the image by docker and buildah, composed, out of memory
	tests/bring.sh docker-compose docker-compose
	tests/bring.sh buildah buildah
	FAULT_REQUESTS=5000 deploy/bare.sh sh -c \
		'deploy/image.sh && $(BIN)/pytest -rs -m container tests/deploy'

test-watch: .venv/all packages build/prometheus/done  ## a Prometheus watches real replicas
	PATH="$$PATH:$(CURDIR)/build/prometheus/usr/bin" \
		$(BIN)/pytest -rs tests/deploy/test_watched.py tests/deploy/test_runbook.py \
		tests/deploy/test_monitoring.py tests/deploy/test_prometheus.py

TOOLS := kubernetes checkov ray prometheus
test-clusters: .venv/all $(TOOLS:%=build/%/done)  ## the chart, podman, Ray; on Debian, as root
	tests/deploy/kubernetes/podman.sh
	PATH="$$PATH:$(CURDIR)/build/prometheus/usr/bin" \
		$(BIN)/pytest -rs -m deploy tests/deploy/kubernetes tests/deploy/test_ray.py

build/kubernetes/done: Makefile constraints.txt  ## Helm's library and the schemas of Kubernetes
	$(PYTHON) -m venv build/kubernetes
	build/kubernetes/bin/pip install --quiet --constraint constraints.txt \
		helm-python-sdk==0.2.2 kubernetes-validate==1.37.0
	touch $@

build/checkov/done: Makefile  ## by itself, as it pins what it needs
	$(PYTHON) -m venv build/checkov
	build/checkov/bin/pip install --quiet checkov==3.3.30
	touch $@

build/ray/done: Makefile $(SOURCES)
	$(PYTHON) -m venv build/ray
	build/ray/bin/pip install --quiet --constraint constraints.txt --editable '.[cpu]' 'ray[serve]==2.60.0'
	touch $@

# Debian's package would start a service: it is unpacked, not installed.
build/prometheus/done:
	mkdir -p build/prometheus
	apt-get update -qq
	cd build/prometheus && rm -f prometheus_*.deb && \
		apt-get download -qq prometheus && dpkg-deb --extract prometheus_*.deb .
	touch $@

clean:
	rm -rf .venv build

.venv/serve: $(SOURCES)
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[cpu,docs]'
	touch $@

.venv/all: $(SOURCES) | .venv/serve
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[cpu,docs,otel,train,dev]'
	touch $@
