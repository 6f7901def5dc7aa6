"""Google Cloud Storage on the loopback interface: gcp-storage-emulator, held to GCS's behaviour.

`python -m cohost.local.gcs --state DIR --port 0` serves the JSON API. What gcp-storage-emulator lacks is added in
front of it: preconditions on generations, object versions, paged listings, the settings a bucket is made with,
the checks of X-Goog-Hash, Google's error bodies, and a state that survives `kill -9`. Batches, soft-deleted
objects and IAM enforcement are not served.
"""
