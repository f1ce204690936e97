"""The agent's loop, as a state machine without tasks, clocks or sockets, for every paradigm.

The shell (:mod:`sindbad.agent.agent`) asks :meth:`Episode.next_sampling`, samples, hands the tokens to
:meth:`Episode.accept_turn`, carries out the call it gets back, hands the observation to
:meth:`Episode.accept_observation`, and summarises when told so. Invariants: ids once appended never change; every
tool call, malformed ones included, counts against one budget that no restart resets; an attempt that ends in anything
but an answer, or that broke the format, has reward 0.
"""
