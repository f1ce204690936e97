"""The loopback web as a supervised process: real HTTP pages with latency and faults, for the demo and the tests."""
