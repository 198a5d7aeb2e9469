"""The learner over several processes under Ray Train: data parallel (DDP) or fully sharded (FSDP2).

A rank runs the same `agentgym.trainers.learner.Learner` as a run of one process; what differs is its `Team`. The run
speaks to a `DistributedLearner`, which has the learner's interface and hands every call to all ranks.
"""
