"""The sub-commands that serving needs; one module each, loaded when named."""
