"""The boxes of the stack on AWS."""

from components.aws.access import CallerPolicy, CallerPolicyArgs, DeployerPolicy, DeployerPolicyArgs
from components.aws.alarms import Alarm, Alarms, AlarmsArgs, operations, rollback
from components.aws.artifact_store import ArtifactStore, ArtifactStoreArgs
from components.aws.execution_role import ExecutionRole, ExecutionRoleArgs
from components.aws.multi_model_endpoint import MultiModelEndpoint, MultiModelEndpointArgs
from components.aws.stack import Stack
from components.aws.training_pipeline import TrainingPipeline, TrainingPipelineArgs

__all__ = [
    "Alarm",
    "Alarms",
    "AlarmsArgs",
    "ArtifactStore",
    "ArtifactStoreArgs",
    "CallerPolicy",
    "CallerPolicyArgs",
    "DeployerPolicy",
    "DeployerPolicyArgs",
    "ExecutionRole",
    "ExecutionRoleArgs",
    "MultiModelEndpoint",
    "MultiModelEndpointArgs",
    "Stack",
    "TrainingPipeline",
    "TrainingPipelineArgs",
    "operations",
    "rollback",
]
