"""Every setting of the server, typed once. Where they come from is `configuration`'s affair."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from service.body import BodyLimits
from service.columns import Strict
from service.device import NAMES, Device
from service.engine.policy import Policy
from service.given import HOST, PORT
from service.wires.validation import Limits

EACH = "cuda:each"  # a device for workers to share out


class Settings(Strict):
    """What can be set; sizes are in tokens, bytes and seconds."""

    models: Path = Field(Path("deploy/bundles"), description="folder holding name/version/ bundles")
    versions: int = Field(
        1,
        ge=0,
        description="newest versions of each model that are served, besides those that its "
        "aliases.json names; 0: all",
    )
    watch_seconds: float = Field(
        0, ge=0, description="between looks for new versions in the folder of models; 0: none"
    )
    host: str = Field(HOST, min_length=1, description="address to listen on")
    port: int = Field(PORT, ge=0, le=65535, description="port to listen on; 0 takes a free one")
    grpc_port: int = Field(
        0, ge=0, le=65535, description="port to listen on for gRPC, besides HTTP's; 0: none"
    )
    cors_origins: str | None = Field(
        None,
        pattern=r"^(\*|https?://[^\s/,]+(,https?://[^\s/,]+)*)$",
        description="origins of pages that may ask besides the server's own, with commas between; "
        "*: any; without it none",
    )
    device: str = Field(
        "cpu",
        pattern=f"{NAMES}|^{EACH}$",
        description="where models run: cpu, cuda or cuda:N, the GPU's number; "
        f"{EACH}: worker N on GPU N",
    )
    gpu_memory_bytes: int = Field(
        0, ge=0, description="most memory of each graph's arena on a GPU; 0: no limit"
    )
    variant: Literal["fp32", "fp16", "int8"] = Field(
        "fp32", description="precision of all models; each must have it"
    )
    workers: int = Field(
        1,
        ge=1,
        le=256,
        description="processes that serve, each with all models; all limits are of each by itself",
    )
    threads: int = Field(
        0,
        ge=0,
        le=1024,
        description="threads of each worker; 0: its share of the CPUs, and what others leave idle",
    )
    keys: Path | None = Field(
        None, description="TOML file of API keys; with it whoever asks must show one"
    )
    step_tokens: int = Field(16_384, ge=1, description="token budget of one step")
    long_tokens: int = Field(
        4096, ge=1, description="longest sequence that is run in one go; longer ones go bit by bit"
    )
    shared_ms: float = Field(
        4, gt=0, description="time of a step while a long sequence is on its way"
    )
    brief_ms: float = Field(
        20,
        ge=0,
        description="time of a step on a CPU, where it can be so brief: it runs on the event loop; "
        "0: none do",
    )
    slice_tokens: int = Field(
        0, ge=0, description="tokens in one call of a graph; 0: as suits the device"
    )
    queue_tokens: int = Field(4_000_000, ge=1, description="tokens waiting before 429")
    queue_requests: int = Field(1024, ge=1, description="requests waiting or running before 429")
    timeout_seconds: float = Field(
        60, gt=0, description="longest a request may wait for its answer that names no time itself"
    )
    step_seconds: float = Field(
        30, gt=0, description="longest a step may run before it is stopped and its model doubted"
    )
    max_request_tokens: int = Field(1_000_000, ge=1, description="most tokens in one request")
    max_request_sequences: int = Field(65_536, ge=1, description="most sequences in one request")
    max_request_tensors: int = Field(
        512, ge=1, description="most input tensors, output tensors or Arrow columns in one request"
    )
    max_json_depth: int = Field(64, ge=8, le=1000, description="deepest nesting of a JSON body")
    max_body_bytes: int = Field(64 * 2**20, ge=1, description="largest request body as sent")
    max_inflated_bytes: int = Field(
        64 * 2**20, ge=1, description="largest request body once it is decompressed"
    )
    max_in_flight_bytes: int = Field(
        512 * 2**20, ge=1, description="bodies and streams held at a time, in all, before 429"
    )
    max_body_chunks: int = Field(65_536, ge=1, description="most chunks of a chunked body")
    body_seconds: float = Field(60, gt=0, description="longest a body may take to arrive")
    body_bytes_per_second: float = Field(
        1000, gt=0, description="slowest a body may arrive after its first seconds, before 408"
    )
    explain_tokens: int = Field(
        262_144,
        ge=1,
        description="tokens run again to explain one request, where a model cannot take tokens "
        "away from its sums: n * (n - 1) for a sequence of n",
    )
    max_streams: int = Field(
        64, ge=1, description="streams at a time before 429, but for clients with less than a share"
    )
    max_stream_tokens: int = Field(0, ge=0, description="most tokens in one stream; 0: no limit")
    max_piece_bytes: int = Field(
        16 * 2**20, ge=1, description="largest line or record batch of a stream"
    )
    spool_folder: Path | None = Field(
        None,
        description="where streams keep what they need between passes; without it, where the "
        "system has its temporary files",
    )
    max_stream_spool_bytes: int = Field(
        4 * 2**30, ge=0, description="most that one stream keeps between passes, before 507"
    )
    max_spool_bytes: int = Field(
        16 * 2**30, ge=0, description="most that all streams keep between passes, before 507"
    )
    grace_seconds: float = Field(
        5, ge=0, description="after SIGTERM: time still served, so balancers see it is not ready"
    )
    drain_seconds: float = Field(
        30, ge=0, description="after the grace: longest wait for requests in flight"
    )
    keep_alive_seconds: int = Field(
        75, ge=0, description="idle connection kept; above the balancer's own"
    )
    drift_tokens: int = Field(
        0,
        ge=0,
        description="tokens of a request that are looked at for drift of its inputs; 0: none",
    )
    otel_endpoint: str | None = Field(
        None,
        pattern=r"^https?://",
        description="where OTLP/HTTP takes traces, without /v1/traces; without it they are off, "
        "unless OTEL_EXPORTER_OTLP_ENDPOINT is set",
    )
    otel_ratio: float = Field(
        0.01,
        ge=0,
        le=1,
        description="share of the requests that are traced, of those whose caller does not say",
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="least severe log line written"
    )

    def of_worker(self, index: int) -> Settings:
        """What one of several workers has."""
        if self.device != EACH:
            return self
        return self.model_copy(update={"device": f"cuda:{index}"})

    def policy(self) -> Policy:
        """The engine's part."""
        return Policy(
            self.queue_tokens,
            self.queue_requests,
            self.shared_ms / 1e3,
            self.step_seconds,
            self.timeout_seconds,
            0.0 if Device.parse(self.device).is_gpu else self.brief_ms / 1e3,
        )

    def body_limits(self) -> BodyLimits:
        """What is allowed of bodies before anything looks inside."""
        return BodyLimits(
            self.max_body_bytes,
            self.max_inflated_bytes,
            self.max_in_flight_bytes,
            self.body_seconds,
            self.body_bytes_per_second,
            self.max_body_chunks,
        )

    def request_limits(self) -> Limits:
        """What is allowed in one request."""
        return Limits(
            self.max_request_tokens,
            self.max_request_sequences,
            self.max_request_tensors,
            self.max_json_depth,
        )
