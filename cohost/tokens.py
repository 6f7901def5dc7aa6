"""Names that several parts must spell alike: tokens of resources and components, variables of the environment."""

from __future__ import annotations

from typing import Final

PROJECT: Final = "shared-endpoint"
PLUGIN: Final = "cohost"

# Resources of the project's own provider plugin.
ARTIFACT_SET: Final = "cohost:index:ArtifactSet"
SAGEMAKER_ENDPOINT_NAME: Final = "cohost:sagemaker:EndpointName"
SAGEMAKER_ACTIVE_RELEASE: Final = "cohost:sagemaker:ActiveRelease"
VERTEX_MODEL: Final = "cohost:vertex:Model"
VERTEX_MODEL_SET: Final = "cohost:vertex:ModelSet"
VERTEX_DEPLOYED_MODEL: Final = "cohost:vertex:DeployedModel"
VERTEX_ENDPOINT_DRAIN: Final = "cohost:vertex:EndpointDrain"
VERTEX_ACTIVE_RELEASE: Final = "cohost:vertex:ActiveRelease"

# Components of the AWS stack.
AWS_ARTIFACT_STORE: Final = "cohost:aws:ArtifactStore"
AWS_EXECUTION_ROLE: Final = "cohost:aws:ExecutionRole"
AWS_MULTI_MODEL_ENDPOINT: Final = "cohost:aws:MultiModelEndpoint"
AWS_ALARMS: Final = "cohost:aws:Alarms"
AWS_CALLER_POLICY: Final = "cohost:aws:CallerPolicy"
AWS_DEPLOYER_POLICY: Final = "cohost:aws:DeployerPolicy"
AWS_TRAINING_PIPELINE: Final = "cohost:aws:TrainingPipeline"

# Components of the GCP stack.
GCP_APIS: Final = "cohost:gcp:Apis"
GCP_ARTIFACT_STORE: Final = "cohost:gcp:ArtifactStore"
GCP_SERVICE_IDENTITY: Final = "cohost:gcp:ServiceIdentity"
GCP_SERVING_ACCOUNT: Final = "cohost:gcp:ServingAccount"
GCP_SHARED_ENDPOINT: Final = "cohost:gcp:SharedEndpoint"
GCP_CALLER_ROLE: Final = "cohost:gcp:CallerRole"
GCP_DEPLOYER_ROLE: Final = "cohost:gcp:DeployerRole"

# The variable by which gcloud is sent to another address for Vertex AI; every part of the project follows it.
VERTEX_ENDPOINT_OVERRIDE: Final = "CLOUDSDK_API_ENDPOINT_OVERRIDES_AIPLATFORM"
# The variable by which the embedded engine tells a policy pack which file holds the state of the stack.
DEPLOYED_STATE: Final = "COHOST_DEPLOYED_STATE"
