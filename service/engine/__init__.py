"""The engine: what runs next, how long it will take, and running it."""
