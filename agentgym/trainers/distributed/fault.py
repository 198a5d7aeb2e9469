"""What goes wrong between processes that learn together."""

from __future__ import annotations

from agentgym.faults import AgentGymError


class LearnerFault(AgentGymError, RuntimeError):
    """A process of the learner died, or the group could not be started.

    The group is down and what it had learnt since the last checkpoint is lost: `DistributedLearner.load` starts it
    again from one, `DistributedLearner.restart` from the model the run began with.
    """
