"""A server under load for long: does anything grow, get stuck or fail?"""
