"""Typed async gRPC clients: what an integrator imports. Domain types in and out; neither torch nor a service in sight."""
