"""What runs inside the peers' own environments: the same model behind each server's handler."""
