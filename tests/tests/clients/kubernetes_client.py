"""A Job's life with Kubernetes' own Python client."""

import sys

from kubernetes import client, watch
from kubernetes.client.rest import ApiException

ADDRESS, NAMESPACE = sys.argv[1:3]

configuration = client.Configuration()
configuration.host = ADDRESS
api = client.ApiClient(configuration)
batch, core = client.BatchV1Api(api), client.CoreV1Api(api)

container = client.V1Container(
    name="main", image="host", command=["sh", "-c", "echo hello from $HOSTNAME"])
job = client.V1Job(
    metadata=client.V1ObjectMeta(name="py", labels={"app": "py"}),
    spec=client.V1JobSpec(
        completions=2, parallelism=1, backoff_limit=1,
        template=client.V1PodTemplateSpec(
            spec=client.V1PodSpec(restart_policy="Never", containers=[container]))))

start = batch.list_namespaced_job(NAMESPACE).metadata.resource_version
made = batch.create_namespaced_job(NAMESPACE, job)
assert made.metadata.uid and made.spec.completion_mode == "NonIndexed", made
try:
    batch.create_namespaced_job(NAMESPACE, job)
    raise AssertionError("a name was given twice")
except ApiException as error:
    assert error.status == 409, error

# From the list on, without a gap.
kinds, last, stream = [], None, watch.Watch()
for event in stream.stream(batch.list_namespaced_job, NAMESPACE, resource_version=start,
                           timeout_seconds=90):
    kinds.append(event["type"])
    last = event["object"]
    conditions = last.status.conditions or []
    if any(it.type == "Complete" and it.status == "True" for it in conditions):
        stream.stop()
assert kinds[0] == "ADDED" and set(kinds[1:]) == {"MODIFIED"}, kinds
assert last.status.succeeded == 2, last.status

pods = core.list_namespaced_pod(NAMESPACE, label_selector="job-name=py").items
assert len(pods) == 2 and all(pod.status.phase == "Succeeded" for pod in pods), pods
for pod in pods:
    log = core.read_namespaced_pod_log(pod.metadata.name, NAMESPACE)
    assert log == f"hello from {pod.metadata.name}\n", log
labelled = core.patch_namespaced_pod(
    pods[0].metadata.name, NAMESPACE, {"metadata": {"labels": {"seen": "yes"}}})
assert labelled.metadata.labels["seen"] == "yes", labelled

patched = batch.patch_namespaced_job("py", NAMESPACE, {"metadata": {"labels": {"app": "new"}}})
assert patched.metadata.labels["app"] == "new", patched
events = core.list_namespaced_event(NAMESPACE, field_selector="involvedObject.name=py").items
assert any(event.reason == "Completed" for event in events), events

cron = client.V1CronJob(
    metadata=client.V1ObjectMeta(name="tick"),
    spec=client.V1CronJobSpec(
        schedule="0 0 1 1 *", suspend=True,
        job_template=client.V1JobTemplateSpec(spec=job.spec)))
assert batch.create_namespaced_cron_job(NAMESPACE, cron).spec.suspend is True
batch.delete_namespaced_cron_job("tick", NAMESPACE)

gone = batch.delete_namespaced_job("py", NAMESPACE, propagation_policy="Background")
assert (gone["status"] if isinstance(gone, dict) else gone.status), gone
try:
    batch.read_namespaced_job("py", NAMESPACE)
    raise AssertionError("it is still there")
except ApiException as error:
    assert error.status == 404, error
print("done")
