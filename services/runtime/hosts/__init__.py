"""What serves a service: its own process (``services.runtime.server``), KServe's model server, or Ray Serve.

A service's ``build`` does not know which. KServe and Ray are imported by their host alone, and only when it is chosen.
"""
