"""The paths of the HTTP interface: health, /v1 and the Open Inference Protocol's /v2."""
