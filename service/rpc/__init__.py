"""The Open Inference Protocol over gRPC: needs grpcio, which only its own modules import."""
