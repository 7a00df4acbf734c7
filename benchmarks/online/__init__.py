"""Load on our server and on its peers, in closed and in open loop, over HTTP."""
