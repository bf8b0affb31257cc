"""Submits a Job over NATS, follows it to its end, and prints what its pods wrote.

    pip install nats-py
    NATS_URL=nats://127.0.0.1:4222 python3 submit.py [NAME [NAMESPACE]]
"""

import asyncio
import json
import os
import sys

import nats

NAME = sys.argv[1] if len(sys.argv) > 1 else "from-python"
NAMESPACE = sys.argv[2] if len(sys.argv) > 2 else "default"
JOB = {
    "apiVersion": "batch/v1",
    "kind": "Job",
    "metadata": {"name": NAME},
    "spec": {
        "completionMode": "Indexed",
        "completions": 3,
        "parallelism": 3,
        "template": {"spec": {"restartPolicy": "Never", "containers": [{
            "name": "main",
            "image": "host",
            "command": ["sh", "-c", "echo index $JOB_COMPLETION_INDEX of Python"],
        }]}},
    },
}
SILENCE = 20  # A stream says something every five seconds.


def subject(rest):
    return f"stint.v1.{NAMESPACE}.{rest}"


async def ask(nc, what, body=b"", headers=None):
    """One request, one answer. An error is a Status, and its code is in a header."""
    answer = await nc.request(subject(what), body, timeout=10, headers=headers)
    code = int((answer.headers or {}).get("Nats-Service-Error-Code", 200))
    return code, json.loads(answer.data)


async def stream(nc, what, headers=None):
    """The messages of a watch or a log, until its end."""
    inbox = nc.new_inbox()
    messages = await nc.subscribe(inbox)
    await nc.publish(subject(what), b"", reply=inbox, headers=headers)
    try:
        while True:
            message = await messages.next_msg(timeout=SILENCE)
            said = message.headers or {}
            if "Nats-Service-Error-Code" in said:
                raise RuntimeError(json.loads(message.data)["message"])
            if "Stint-End" in said:
                return
            if "Stint-Heartbeat" not in said:
                yield message.data
    finally:
        await messages.unsubscribe()


async def outcome(nc):
    """Watches the Job until it is Complete or has Failed, whatever becomes of single watches."""
    while True:
        try:
            async for data in stream(nc, "jobs.watch", {"fieldSelector": f"metadata.name={NAME}"}):
                event = json.loads(data)
                status = event["object"].get("status", {})
                counts = {key: status.get(key, 0) for key in ("active", "succeeded", "failed")}
                print(event["type"], counts)
                if event["type"] == "DELETED":
                    return "Deleted"
                for condition in status.get("conditions", []):
                    if condition["type"] in ("Complete", "Failed") and condition["status"] == "True":
                        return condition["type"]
        except (nats.errors.TimeoutError, RuntimeError) as error:
            print("the watch begins again:", error, file=sys.stderr)
            await asyncio.sleep(1)


async def main():
    nc = await nats.connect(os.environ.get("NATS_URL", "nats://127.0.0.1:4222"))
    code, answer = await ask(nc, "jobs.create", json.dumps(JOB).encode())
    # A name is given once. So who asked, and heard no answer, may just ask again.
    if code not in (200, 409):
        sys.exit(f"error {code}: {answer['message']}")
    end = await outcome(nc)
    _, pods = await ask(nc, "pods.list", headers={"labelSelector": f"job-name={NAME}"})
    for pod in pods["items"]:
        async for piece in stream(nc, f"pods/log.get.{pod['metadata']['name']}"):
            sys.stdout.write(piece.decode())
    await nc.close()
    print(end)
    sys.exit(0 if end == "Complete" else 1)


asyncio.run(main())
